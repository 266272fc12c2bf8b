"""All runs of a state folder in one line each: told from their last records, never guessed."""

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from protocols.errors import JournalError
from protocols.events import Outcome
from protocols.ids import RunId
from supervisor.fleets import Fleet, find_fleets
from supervisor.sweep import conclude, find_end
from supervisor.views import read_view

__all__ = ["RunSummary", "list_runs"]

Status: TypeAlias = Literal["running", "stopping", "damaged"] | Outcome


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId
    status: Status
    plan: str = ""
    started_at: float
    ended_at: float | None = None
    counts: dict[str, int] = {}
    """How many tasks have which status."""
    problem: str = ""
    """What is damaged, or why the end is not recorded."""


def list_runs(state: Path) -> list[RunSummary]:
    """The run that started last comes first. Runs whose supervisor was killed are concluded on the way."""
    return [_summarize(fleet) for fleet in find_fleets(state)]


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
            started_at=fleet.started_at,
            ended_at=end.at,
            counts=end.counts,
        )
    view = read_view(fleet.folder.journal)
    status: Status = ("stopping" if view.stopping else "running") if living else "interrupted"
    return RunSummary(
        run=fleet.name,
        status=status,
        plan=plan,
        started_at=fleet.started_at,
        counts=view.counts(),
        problem="" if living else "its end could not be recorded",
    )
