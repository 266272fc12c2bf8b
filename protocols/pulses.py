"""All attempts that run, as records tell of them: where the evidence for their verdicts comes from."""

from dataclasses import dataclass, field
from typing import get_args

from protocols.events import (
    AttemptStarting,
    Event,
    InstanceRecord,
    RunResumed,
    SpoolBlocked,
    SpoolResumed,
    TaskStatusChanged,
    WorkerExited,
    WorkerGap,
    WorkerOutput,
    WorkerStarted,
    WorkerStopping,
    WorkerVerdict,
    WorkerWarned,
)
from protocols.fleet_events import KeeperLost, KeeperStarted
from protocols.ids import WorkerId
from protocols.liveness_states import WAITING
from protocols.pulse import Pulse
from protocols.session_events import SessionEvent
from protocols.session_pulse import SessionPulse

__all__ = ["Pulses"]

_OF_SESSIONS = get_args(SessionEvent)
_OF_WORK = (WorkerOutput, TaskStatusChanged, *_OF_SESSIONS)


@dataclass(slots=True)
class Pulses:
    """All attempts that run. Feed every record in order."""

    running: dict[WorkerId, Pulse] = field(default_factory=dict)
    keeper: int | None = None
    """The pid of the keeper, where there is one."""
    last_at: float = 0.0
    """The moment of the last record."""

    def apply(self, event: Event, moment: float) -> None:
        """``moment``: when it happened, on the clock of the looks."""
        match event:
            case WorkerOutput():
                pulse = self._pulse(event)
                if pulse is not None:
                    end = event.offset + event.length
                    pulse.ends[event.stream] = max(pulse.ends.get(event.stream, 0), end)
                    pulse.grown, pulse.last_byte = event.stream, moment
            case _ if isinstance(event, _OF_SESSIONS):
                self._apply_to_session(event, moment)
            case InstanceRecord():
                self._apply_to_instance(event, moment)
            case AttemptStarting():
                self.running[event.worker] = Pulse(event.worker, event.attempt, event.source, moment, event.window)
            case WorkerExited():
                if self._pulse(event) is not None:
                    del self.running[event.worker]
            case KeeperStarted():
                self.keeper = event.pid
            case KeeperLost() | RunResumed():
                self._miss(event, moment)
            case (WorkerStarted() | WorkerVerdict() | WorkerStopping() | WorkerGap() | SpoolBlocked()) | (
                SpoolResumed() | WorkerWarned()
            ):
                pulse = self._pulse(event)
                if pulse is not None:
                    _apply(pulse, event, moment)
            case _:
                pass
        self.last_at = moment

    def _miss(self, event: KeeperLost | RunResumed, moment: float) -> None:
        """What nobody watched, since the record before, was no waiting."""
        self.keeper = None if isinstance(event, KeeperLost) else self.keeper
        for pulse in self.running.values():
            pulse.blocked.clear()  # the keeper that comes says it again
            if pulse.waits_since is not None and isinstance(event, RunResumed):
                pulse.waited, pulse.waits_since = pulse.waited_until(self.last_at), moment

    def _apply_to_session(self, event: SessionEvent, moment: float) -> None:
        pulse = self._pulse(event)
        if pulse is not None:
            pulse.session = pulse.session or SessionPulse()
            pulse.session.apply(event, moment)

    def _apply_to_instance(self, record: InstanceRecord, moment: float) -> None:
        """What its workers do is what it does; how these are, it judges itself."""
        pulse = self.running.get(record.worker)
        if pulse is not None and isinstance(record.event, _OF_WORK):
            pulse.session = pulse.session or SessionPulse()
            pulse.session.last_event = moment

    def _pulse(
        self,
        event: SessionEvent
        | WorkerOutput
        | WorkerStarted
        | WorkerVerdict
        | WorkerStopping
        | WorkerWarned
        | WorkerExited
        | WorkerGap
        | SpoolBlocked
        | SpoolResumed,
    ) -> Pulse | None:
        """None where it is of an attempt that does not run."""
        pulse = self.running.get(event.worker)
        return pulse if pulse is not None and pulse.attempt == event.attempt else None


def _apply(
    pulse: Pulse,
    event: WorkerStarted | WorkerVerdict | WorkerStopping | SpoolBlocked | SpoolResumed | WorkerGap | WorkerWarned,
    moment: float,
) -> None:
    match event:
        case WorkerStarted():
            pulse.process, pulse.started_at = (event.pid, event.start_ticks) if event.pid else None, moment
        case WorkerGap() if event.cut:
            pulse.cut(event)
        case WorkerVerdict():
            pulse.waited = pulse.waited_until(moment)
            pulse.waits_since = moment if event.state in WAITING else None
            if pulse.verdict is None:  # of who judged it before us; our own we know already
                pulse.told = (event.state, event.confirmed)
        case WorkerWarned():
            pulse.warned = True
        case WorkerStopping():
            pulse.stopping = True
        case SpoolBlocked():
            pulse.blocked[event.stream] = event.error
        case SpoolResumed():
            pulse.blocked.pop(event.stream, None)
