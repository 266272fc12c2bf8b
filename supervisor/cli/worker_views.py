"""Shows the workers of a state folder, once or again and again."""

import sys
from pathlib import Path

import msgspec
import trio

from supervisor.cli.repeating import repeat
from supervisor.leaving import run_command
from supervisor.table import terminal_width
from supervisor.top_table import Top, render_top
from supervisor.worker_reading import open_workers, read_workers
from supervisor.worker_table import render_workers, shown_workers

__all__ = ["show_top", "show_workers", "watch_workers"]


_ONCE = 1.0  # seconds between the two looks that one table needs


def show_workers(state: Path, *, everything: bool, json: bool) -> None:
    """Raise InputError where nothing ran here, UnreachableError where the supervisor does not answer."""
    found = read_workers(state)
    if json:
        for line in shown_workers(found, everything=everything):
            print(msgspec.json.encode(line).decode())
        return
    if found.note:
        print(f"note: {found.note}", file=sys.stderr)
    print(render_workers(found, everything=everything, width=terminal_width()))


def watch_workers(state: Path, *, everything: bool, json: bool, every: float) -> None:
    """Until somebody leaves. Raise as `show_workers`."""

    async def watch() -> None:
        async with open_workers(state) as read:

            async def draw() -> str:
                found = await read()
                if json:
                    lines = shown_workers(found, everything=everything)
                    return msgspec.json.encode(msgspec.structs.replace(found, workers=lines)).decode()
                table = render_workers(found, everything=everything, width=terminal_width())
                return f"{found.note}\n{table}" if found.note else table

            await repeat(draw, every)

    run_command(watch)


def show_top(state: Path, *, every: float, once: bool, json: bool) -> None:
    """Until somebody leaves, or ``once``. Raise as `show_workers`."""
    top = Top()

    async def watch() -> None:
        async with open_workers(state) as read:

            async def draw() -> str:
                lines = top.look(await read())
                if json:
                    return "\n".join(msgspec.json.encode(line).decode() for line in lines)
                return render_top(lines, terminal_width())

            if once:
                await draw()
                await trio.sleep(min(every, _ONCE))
                print(await draw())
            else:
                await repeat(draw, every)

    run_command(watch)
