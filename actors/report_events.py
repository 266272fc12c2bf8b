"""What a source reports of an attempt, as it is recorded."""

from typing import Any, TypeAlias, assert_never

import msgspec

from protocols.events import Event, SpoolBlocked, SpoolResumed, WorkerGap, WorkerStopping
from protocols.ids import WorkerId
from protocols.keeper import Blocked, Missed, Resumed, Stopping
from protocols.pane import Pane, Unclaimed, WorkerPane, WorkerUnclaimed
from protocols.session_report import SessionReport

__all__ = ["event_of"]

_Told: TypeAlias = Stopping | Blocked | Resumed | Missed | Pane | Unclaimed | SessionReport


def event_of(report: _Told, worker: WorkerId, attempt: int, at: float) -> Event:
    """``at`` in Unix time."""
    match report:
        case Stopping(reason=reason, grace=grace, detail=detail):
            return WorkerStopping(at=at, worker=worker, attempt=attempt, reason=reason, grace=grace, detail=detail)
        case Blocked(stream=stream, error=error, retried=retried):
            return SpoolBlocked(at=at, worker=worker, attempt=attempt, stream=stream, error=error, retried=retried)
        case Resumed():
            return SpoolResumed(at=at, worker=worker, attempt=attempt, stream=report.stream)
        case Missed(stream=stream, offset=offset, lost=lost, why=why):
            return WorkerGap(at=at, worker=worker, attempt=attempt, stream=stream, offset=offset, lost=lost, why=why)
        case Pane():
            return WorkerPane(at=at, worker=worker, attempt=attempt, **_fields(report))
        case Unclaimed(socket=socket, name=name):
            return WorkerUnclaimed(at=at, worker=worker, attempt=attempt, socket=socket, name=name)
        case SessionReport():
            return report.event
        case _:
            assert_never(report)


def _fields(report: Pane) -> dict[str, Any]:
    """What the event says with the same words."""
    return {name: value for name, value in msgspec.structs.asdict(report).items() if name != "attempt"}
