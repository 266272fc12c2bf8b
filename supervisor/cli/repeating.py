"""Tables that are shown again and again, until somebody leaves."""

import os
import sys
from collections.abc import Awaitable, Callable

import trio

__all__ = ["repeat"]

_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


async def repeat(draw: Callable[[], Awaitable[str]], every: float) -> None:
    """Print what ``draw`` gives each ``every`` seconds, for ever: over the one before on a terminal, cut where that has
    no more rows; elsewhere one after the other. Raise what it raises, and BrokenPipeError."""
    terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if terminal:
        print(f"{_HOME}{_REST_OF_SCREEN}", end="")
    while True:
        text = await draw()
        print(_over(text) if terminal else text, end="" if terminal else "\n", flush=True)
        await trio.sleep(every)


def _over(text: str) -> str:
    rows = os.get_terminal_size(sys.stdout.fileno()).lines
    lines = text.splitlines()
    if len(lines) > rows - 1 > 0:
        lines = [*lines[: rows - 2], f"… and {len(lines) - rows + 2} lines more"]
    return _HOME + "".join(f"{line}{_REST_OF_LINE}\r\n" for line in lines) + _REST_OF_SCREEN
