"""Shows the workers of a state folder, once or again and again."""

import sys
from pathlib import Path

import msgspec
import trio

from supervisor.cli.repeating import repeat
from supervisor.table import terminal_width
from supervisor.worker_reading import open_workers, read_workers
from supervisor.worker_table import render_workers, shown_workers

__all__ = ["show_workers", "watch_workers"]


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

    trio.run(watch)
