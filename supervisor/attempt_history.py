"""All attempts of the workers of a run, of which other tables show the last one only."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from protocols.attempt_view import AttemptView
from protocols.durations import format_elapsed
from protocols.errors import InputError
from protocols.ids import TaskId
from protocols.outcomes import describe_exit
from protocols.sizes import format_bytes
from protocols.states import RunView
from protocols.task_tree import walk
from protocols.wording import did_you_mean, quote
from supervisor.sweep import conclude
from supervisor.table import render_table
from supervisor.up_state import find_main
from supervisor.views import read_view

__all__ = ["AttemptLine", "read_history", "render_history"]

_TITLES = ("started", "worker", "attempt", "time", "output", "end")


class AttemptLine(msgspec.Struct, frozen=True, kw_only=True):
    """What ``callboard history --json`` prints of an attempt."""

    worker: TaskId
    attempt: int
    started_at: float
    """Unix time."""
    ended_at: float | None
    """None: it runs, or nobody knows."""
    seconds: float | None
    code: int | None
    signal: str | None
    end: str
    """For people; empty while it runs."""
    output: int
    """Bytes in all its streams."""
    argv: tuple[str, ...]


def read_history(state: Path, name: str | None = None) -> list[AttemptLine]:
    """The latest first. Raise InputError where nothing ran here, or no worker is called so."""
    fleet = find_main(state)
    if not fleet.is_alive():
        conclude(fleet)
    view = read_view(fleet.folder.journal, samples=True)
    lines = sorted(_lines(view, name), key=lambda line: line.started_at, reverse=True)
    names = {leaf.name for leaf in walk(view)}
    if name is not None and name not in names:
        guess = did_you_mean(name, names) or "; see: callboard ps --all"
        raise InputError(f"worker {quote(name)}: run {fleet.name} has none of this name{guess}")
    return lines


def _lines(view: RunView, name: str | None) -> Iterator[AttemptLine]:
    for leaf in walk(view):
        if name in {None, leaf.name}:
            for attempt in leaf.task.attempts:
                yield _line(TaskId(leaf.name), attempt)


def _line(worker: TaskId, attempt: AttemptView) -> AttemptLine:
    exited = attempt.exited
    since = attempt.starting_at if attempt.started is None else attempt.started.at
    return AttemptLine(
        worker=worker,
        attempt=attempt.number,
        started_at=since,
        ended_at=None if exited is None else exited.ended_at,
        seconds=None if exited is None else exited.ended_at - since,
        code=None if exited is None else exited.code,
        signal=None if exited is None else exited.signal,
        end="" if exited is None else describe_exit(exited),
        output=sum(attempt.output.values()),
        argv=attempt.argv,
    )


def render_history(found: Sequence[AttemptLine], width: int | None) -> str:
    """``width`` in columns."""
    if not found:
        return "nothing was started yet"
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.started_at)),
            line.worker,
            str(line.attempt),
            "" if line.seconds is None else format_elapsed(line.seconds),
            format_bytes(line.output),
            line.end or "runs",
        )
        for line in found
    ]
    return render_table(_TITLES, rows, right=_TITLES[2:5], spare=("output", "started"), width=width)
