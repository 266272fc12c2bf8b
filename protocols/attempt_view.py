"""What the records of one attempt add up to."""

from dataclasses import dataclass, field
from typing import TypeAlias, get_args

from protocols.adoption_events import WorkerAdopted
from protocols.events import (
    SpoolBlocked,
    SpoolResumed,
    WorkerAction,
    WorkerExited,
    WorkerGap,
    WorkerHeartbeat,
    WorkerOutput,
    WorkerProgress,
    WorkerStarted,
    WorkerStopping,
    WorkerVerdict,
    WorkerWarned,
)
from protocols.ids import AttemptId
from protocols.kinds import Source, Stream
from protocols.liveness_states import WAITING
from protocols.pane import WorkerPane
from protocols.reached_events import ReachedEvent, WorkerResized, WorkerSignalled
from protocols.session_events import SessionEvent, SessionTodos
from protocols.session_view import SessionView

__all__ = ["AttemptEvent", "AttemptView"]

_STREAMS: tuple[Stream, ...] = get_args(Stream)
AttemptEvent: TypeAlias = (
    WorkerStarted
    | WorkerAdopted
    | WorkerOutput
    | WorkerProgress
    | WorkerHeartbeat
    | WorkerVerdict
    | WorkerAction
    | WorkerWarned
    | WorkerStopping
    | WorkerExited
    | WorkerGap
    | WorkerPane
    | ReachedEvent
    | SpoolBlocked
    | SpoolResumed
    | SessionEvent
)


@dataclass(slots=True)
class AttemptView:
    """One attempt of a task's worker, as far as its records tell."""

    number: int
    id: AttemptId
    argv: tuple[str, ...]
    cwd: str
    starting_at: float
    timeout: float | None = None
    source: Source = "pipe"
    window: tuple[int, int] | None = None
    log: str = ""
    """The file that is followed."""
    prompts: tuple[str, ...] = ()
    started: WorkerStarted | None = None
    stopping: WorkerStopping | None = None
    exited: WorkerExited | None = None
    epoch: int = 1
    """Of the supervisor that follows it, or followed it to its end."""
    progress: WorkerProgress | None = None
    heartbeat: WorkerHeartbeat | None = None
    output: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(_STREAMS, 0))
    """Bytes that records cover, for each stream."""
    gap: WorkerGap | None = None
    """The last one."""
    gaps: int = 0
    lost: int = 0
    """Bytes in all gaps, as far as that is known."""
    cuts: dict[Stream, int] = field(default_factory=dict)
    """How often each spool file was cut: what was known of its bytes does not hold any more."""
    last_output_at: float | None = None
    blocked: dict[str, str] = field(default_factory=dict)
    """Why no more of a stream is taken, for each of which that is so."""
    pane: WorkerPane | None = None
    """Where it is to be seen, if that is tmux."""
    session: SessionView | None = None
    """Where it is a session on an agent server."""
    verdict: WorkerVerdict | None = None
    """The last one. Behind its end: what it was until then."""
    actions: tuple[WorkerAction, ...] = ()
    """What was done about it while it stood still, or could not be done."""
    warned: WorkerWarned | None = None
    reached: ReachedEvent | None = None
    """The last that somebody outside did to it, apart from its input."""
    _stalled: float = 0.0
    _waited: float = 0.0

    @property
    def is_ours(self) -> bool:
        """Its processes are ours to end: no session of somebody else's, where not even its terminal is ours."""
        borrowed = self.source == "tmux" and self.window is None
        return not borrowed or (self.pane is not None and self.pane.own)

    def apply(self, event: AttemptEvent) -> None:
        match event:
            case WorkerStarted():
                self.started = event
            case WorkerOutput():
                self.output[event.stream] = max(self.output[event.stream], event.offset + event.length)
                self.last_output_at = event.at
            case WorkerAdopted() | WorkerPane() | WorkerWarned() | WorkerSignalled() | WorkerResized():
                self._take(event)
            case WorkerProgress():
                self.progress = event
            case WorkerHeartbeat():
                self.heartbeat = event
            case WorkerVerdict():
                self._judge(event)
            case WorkerAction():
                self.actions = (*self.actions, event)
            case WorkerStopping():
                self.stopping = event
            case WorkerExited():
                self.exited = event
                self.blocked.clear()
            case WorkerGap():
                self._note(event)
            case SpoolBlocked() | SpoolResumed():
                self._tell_blocked(event)
            case _:
                self._follow(event)

    def _follow(self, event: SessionEvent) -> None:
        self.session = self.session or SessionView()
        self.session.apply(event)
        if isinstance(event, SessionTodos):
            fraction = event.done / event.total if event.total else None
            self.progress = WorkerProgress(
                at=event.at, worker=event.worker, attempt=event.attempt, fraction=fraction, label=event.current
            )

    def _take(self, event: WorkerAdopted | WorkerPane | WorkerWarned | ReachedEvent) -> None:
        match event:
            case WorkerAdopted():
                self.epoch = event.epoch
            case WorkerPane():
                self.pane = event
            case WorkerWarned():
                self.warned = event
            case WorkerResized():
                self.reached, self.window = event, (event.columns, event.rows)
            case WorkerSignalled():
                self.reached = event

    def _judge(self, verdict: WorkerVerdict) -> None:
        if self.exited is None:  # its end is the last word
            self._stalled = self.stalled_for(verdict.at)
            self._waited = self.waited_for(verdict.at)
            self.verdict = verdict

    def _tell_blocked(self, event: SpoolBlocked | SpoolResumed) -> None:
        self.blocked.pop(event.stream, None)
        if isinstance(event, SpoolBlocked):
            self.blocked[event.stream] = event.error

    def _note(self, gap: WorkerGap) -> None:
        self.gap = gap
        self.gaps += 1
        self.lost += gap.lost or 0
        if gap.cut:
            self.cuts[gap.stream] = self.cuts.get(gap.stream, 0) + 1
            self.output[gap.stream] = min(self.output[gap.stream], gap.offset)

    def stalled_for(self, now: float) -> float:
        """Seconds that it was stalled in all, until its end or until now."""
        verdict, exited = self.verdict, self.exited
        if verdict is None or verdict.state != "stalled":
            return self._stalled
        return self._stalled + max((now if exited is None else exited.ended_at) - verdict.at, 0.0)

    def waited_for(self, now: float) -> float:
        """Seconds that it waited for a permission or for quota in all, until its end or until now."""
        verdict, exited = self.verdict, self.exited
        if verdict is None or verdict.state not in WAITING:
            return self._waited
        return self._waited + max((now if exited is None else exited.ended_at) - verdict.at, 0.0)
