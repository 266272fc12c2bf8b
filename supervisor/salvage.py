"""The output of a task, from the spool alone: for runs whose journal tells nothing any more."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from actors.anchor import Anchor
from protocols.errors import InputError
from protocols.ids import TaskId, WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from protocols.wording import did_you_mean, escaped, quote

__all__ = ["find_output", "read_behind", "read_part"]

_CHUNK = 1024 * 1024


def find_output(
    folder: FleetFolder, task: TaskId, number: int | None, *, stderr: bool = False, log: bool = False
) -> Path:
    """The file with what a task wrote in this attempt; None: in the last one. Raise `InputError` with what there is.

    ``stderr``, ``log``: of that stream, instead of stdout, the terminal, a session or a log file that is all there is.
    """
    spool = folder.root / "spool"
    tasks = _names(spool)
    if task not in tasks:
        guess = did_you_mean(task, tasks) or _list(tasks)
        raise InputError(f"task {quote(task)}: {spool} has no output of it{guess}")
    attempts = sorted((name for name in _names(spool / task) if name.isdecimal()), key=int)
    chosen = attempts[-1] if attempts and number is None else str(1 if number is None else number)
    if chosen not in attempts:
        raise InputError(f"task {quote(task)}: {spool} has no output of attempt {chosen}{_list(attempts)}")
    wanted: tuple[Stream, ...] = (
        ("stderr",) if stderr else ("log",) if log else ("terminal", "session", "stdout", "log")
    )
    usual: Stream = "stdout" if "stdout" in wanted else wanted[0]
    paths = {stream: folder.spool(WorkerId(task), int(chosen), stream) for stream in wanted}
    return next((path for path in paths.values() if path.exists()), paths[usual])


def read_part(path: Path, start: int = 0, length: int | None = None) -> Iterator[bytes]:
    """The bytes from ``start`` on; none where there is no such file. Raise ``OSError``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    end = None if length is None else start + length
    try:
        while chunk := os.pread(fd, _CHUNK if end is None else min(_CHUNK, end - start), start):
            yield chunk
            start += len(chunk)
    finally:
        os.close(fd)


def read_behind(path: Path, place: Anchor, end: int | None = None) -> Iterator[tuple[bytes, Anchor]]:
    """The bytes behind this place, each piece with the place behind it; none where there is no such file.

    Of a file that was cut since that place was reached, all from its beginning on. Raise ``OSError``.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        while True:
            length = _CHUNK if end is None else min(_CHUNK, max(end - place.at, 0))
            chunk = os.pread(fd, length, place.at)
            if place.before and not place.holds(fd):  # after the reading: else the new text might pass for the old
                place = Anchor()
                continue
            if not chunk:
                return
            place = place.behind(chunk)
            yield chunk, place
    finally:
        os.close(fd)


def _names(folder: Path) -> Sequence[str]:
    """Of the folders in it, links left aside."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _list(names: Sequence[str]) -> str:
    return f"; it has {', '.join(map(escaped, names))}" if names else "; it has none at all"
