"""The screen of a task on a terminal, from journal and spool alone: of a living run, and of one that has ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from actors.screens import SETTLED_AFTER, Screens, View, can_read_screens
from protocols.attempt_view import AttemptView
from protocols.errors import InputError
from protocols.ids import WorkerId
from protocols.layout import streams_of
from protocols.lines import printable
from protocols.wording import quote
from supervisor.following import Log
from supervisor.redacting import redact_screen
from supervisor.secrets import open_redactor

__all__ = ["INSTALL_TERM", "Picture", "read_picture"]

INSTALL_TERM = "install callboard with its extra: pip install 'callboard[term]', or pyte beside it"

_READ = 2 * 1024 * 1024  # bytes of the end of the output, which takes a second or two
_PATIENCE = 2.0  # seconds: longer than the pauses of who paints something in parts, shorter than those of a person


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What a terminal shows. A JSON object of this shape is what ``screen --json`` prints."""

    columns: int
    rows: int
    attempt: int
    settled: bool
    """Nothing changes on it any more. Else it is what it showed after two seconds of changes."""
    cursor: tuple[int, int]
    """Column and row, both from 0."""
    lines: tuple[str, ...]
    """Down to the last one that is not empty. No control characters."""


@dataclass(frozen=True, slots=True)
class _Reader:
    log: Log
    attempt: AttemptView
    window: tuple[int, int]
    screens: Screens[str]

    def look(self) -> View | None:
        """Read on to the end of what there is."""
        (stream,) = streams_of(self.attempt.source)
        path = self.log.fleet.folder.spool(WorkerId(self.log.task), self.attempt.number, stream)
        return self.screens.look("", self.attempt.number, str(path), self.window)


def read_picture(log: Log, *, clock: Callable[[], float] = time.monotonic) -> Picture:
    """Wait until the screen is settled, for two seconds at most, where the attempt still runs.

    Raise `InputError` where there is nothing to see, with what to do.
    """
    if not can_read_screens():
        raise InputError(f"screen: what a terminal shows is read by pyte, which is not there; {INSTALL_TERM}")
    log.check()
    reader = _reader(log)
    view, until = reader.look(), clock() + _PATIENCE
    while view is not None and not view.settled and clock() < until:
        time.sleep(SETTLED_AFTER / 3)
        view = reader.look()
    if view is None:
        raise InputError(f"task {quote(log.task)}: its terminal cannot be shown; see what it wrote: callboard logs")
    return _picture(reader, view)


def _reader(log: Log) -> _Reader:
    attempt = log.attempt()
    if attempt is None or attempt.window is None:
        rule = 'only a task with source = "pty" or "tmux" has a screen'
        raise InputError(f"task {quote(log.task)}: it did not run on a terminal; {rule}; use callboard logs")
    screens: Screens[str] = Screens(far=_READ, spent=lambda: -1.0)  # as long as it takes: nobody waits but who asked
    return _Reader(log, attempt, attempt.window, screens)


def _picture(reader: _Reader, view: View) -> Picture:
    columns, rows = reader.window
    lines = tuple(printable(row) for row in view.shown.text.split("\n")[:-1])
    redactor = open_redactor(reader.log.fleet.folder)
    return Picture(
        columns=columns,
        rows=rows,
        attempt=reader.attempt.number,
        settled=view.settled,
        cursor=view.shown.cursor,
        lines=redact_screen(redactor, lines, columns),
    )
