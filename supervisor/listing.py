"""All runs of a state folder in one line each: told from their last records, never guessed."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from actors.journal_file import read_records
from protocols.durations import format_elapsed
from protocols.errors import JournalError
from protocols.events import RunStarted
from protocols.ids import RunId
from protocols.kinds import Outcome
from protocols.plain import format_counts
from supervisor.fleets import Fleet, find_fleets, tell_detached
from supervisor.sweep import conclude, find_end
from supervisor.table import one_line, render_table
from supervisor.views import read_view

__all__ = ["RunSummary", "list_runs", "render_runs"]

Status: TypeAlias = Literal["running", "stopping", "detached", "damaged"] | Outcome


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId
    status: Status
    plan: str = ""
    started_at: float
    ended_at: float | None = None
    counts: dict[str, int] = {}
    """How many tasks have which status."""
    problem: str = ""
    """What is damaged, or why the end is not recorded: for one that is detached, what to do."""


def list_runs(state: Path) -> list[RunSummary]:
    """The run that started last comes first. Runs whose supervisor was killed are concluded on the way."""
    return [_summarize(fleet) for fleet in find_fleets(state)]


def render_runs(runs: Sequence[RunSummary], now: float, width: int | None) -> str:
    """A table with a line for each, then a line for each problem. ``now`` in Unix time, ``width`` in columns."""
    titles = ("run", "status", "started", "time", "tasks", "plan")
    table = render_table(
        titles, [_row(run, now) for run in runs], right=("started", "time"), spare=("started",), width=width
    )
    return "\n".join([table, *(one_line(f"{run.run}: {run.problem}") for run in runs if run.problem)])


def _row(run: RunSummary, now: float) -> tuple[str, ...]:
    until = now if run.status in ("running", "stopping", "detached") else run.ended_at
    return (
        run.run,
        run.status,
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.started_at)),
        "" if until is None else format_elapsed(until - run.started_at),
        format_counts(run.counts) if run.counts else "",
        run.plan,
    )


def _summarize(fleet: Fleet) -> RunSummary:
    if fleet.identity is None:
        return RunSummary(run=fleet.name, status="damaged", started_at=fleet.started_at, problem=fleet.problem)
    try:
        return _read(fleet, fleet.identity.plan)
    except JournalError as exc:
        return RunSummary(
            run=fleet.name,
            status="running" if fleet.is_alive() else "damaged",
            plan=fleet.identity.plan,
            started_at=fleet.started_at,
            problem=str(exc),
        )


def _read(fleet: Fleet, plan: str) -> RunSummary:
    conclude(fleet)
    living = fleet.is_alive()  # before we read: a run that ends meanwhile is one that still ran
    end = find_end(fleet)
    if end is not None:
        return RunSummary(
            run=fleet.name,
            status=end.outcome,
            plan=plan,
            started_at=_began(fleet),
            ended_at=end.at,
            counts=end.counts,
        )
    view = read_view(fleet.folder.journal)
    detached = not living and fleet.is_detached()
    status: Status = "detached" if detached else "interrupted"
    if living:
        status = "stopping" if view.stopping else "running"
    return RunSummary(
        run=fleet.name,
        status=status,
        plan=plan,
        started_at=fleet.started_at if view.started_at is None else view.started_at,
        counts=view.counts(),
        problem="" if living else tell_detached(fleet) if detached else "its end could not be recorded",
    )


def _began(fleet: Fleet) -> float:
    """When its journal says so, as in its report; a moment after its folder was made."""
    for record in read_records(fleet.folder.journal, types={"run.started"}, limit=1):
        if isinstance(record.event, RunStarted):
            return record.event.at
    return fleet.started_at
