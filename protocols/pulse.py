"""What is known of the attempts that run, from records and from looks at them: the evidence for their verdicts."""

from dataclasses import dataclass, field

from protocols.events import (
    WorkerGap,
)
from protocols.evidence import Evidence, Exit, Mark, Question, Said
from protocols.ids import WorkerId
from protocols.kinds import Source, Stream
from protocols.liveness_states import State
from protocols.prompts import Prompt
from protocols.rate import LongRate
from protocols.session_pulse import SessionPulse
from protocols.sight import Glimpse, Sight, Tail, Wanted
from protocols.silence import Policy
from protocols.verdict import Verdict, judge_liveness

__all__ = ["Pulse"]


@dataclass(slots=True)
class Pulse:
    """One attempt that runs. All moments are of one monotonic clock."""

    worker: WorkerId
    attempt: int
    source: Source
    asked_at: float
    window: tuple[int, int] | None = None
    process: tuple[int, int] | None = None
    started_at: float | None = None
    last_byte: float | None = None
    ends: dict[Stream, int] = field(default_factory=dict)
    """Of its streams, as records tell them."""
    grown: Stream = "stdout"
    """The stream that grew last."""
    blocked: dict[Stream, str] = field(default_factory=dict)
    warned: bool = False
    """It was told that its time is over soon."""
    waited: float = 0.0
    """Seconds in which it waited for a permission or for quota, by its verdicts; without the present wait."""
    waits_since: float | None = None
    stopping: bool = False
    """Its end has begun: nothing is to be done about it any more."""
    told: tuple[State, bool] | None = None
    """The verdict that was recorded last."""
    verdict: Verdict | None = None
    session: SessionPulse | None = None
    """Where it is a session on an agent server."""
    _cpu: LongRate | None = None
    _mark: Mark | None = None
    _asked: Question | None = None
    _idle: Said | None = None
    _read: Tail | None = None
    """What was looked at last, and when."""
    _read_at: float | None = None
    _repeats_since: float | None = None
    _reader_at: float | None = None
    _spooled: int = 0
    """Bytes on disk at the last look."""
    _cut: int = 0
    _gone_at: float | None = None
    """When its leader was not there any more."""
    _seen: tuple[float, int] = (0.0, 0)
    """The moment of the last look, and how much output was recorded then."""

    @property
    def size(self) -> int:
        """Bytes of output in all, those too that it has cut off."""
        return self._cut + sum(self.ends.values())

    @property
    def heard_at(self) -> float:
        """The moment of its last byte or event, or of its start."""
        told = None if self.session is None else self.session.last_event
        return max(moment for moment in (self.started_at, self.last_byte, told, self.asked_at) if moment is not None)

    def waited_until(self, now: float) -> float:
        return self.waited + (0.0 if self.waits_since is None else max(now - self.waits_since, 0.0))

    def cut(self, gap: WorkerGap) -> None:
        end = self.ends.get(gap.stream, 0)
        self.ends[gap.stream] = min(end, gap.offset)
        self._cut += end - self.ends[gap.stream]

    def wanted(self, *, tail: bool) -> Wanted:
        """What to look at; with ``tail`` at the end of its output too, where that is new."""
        new = self._tail() if tail and self.size != (0 if self._read is None else self._read.size) else None
        return Wanted(self.worker, self.attempt, self.source, self.process, new, self.window)

    def _tail(self) -> Tail:
        end, size, read = self.ends[self.grown], self.size, self._read
        if read is None or read.stream != self.grown:
            return Tail(self.grown, end, end, size, alone=False)
        return Tail(self.grown, read.end, end, size, alone=size - end == read.size - read.end)

    def see(self, wanted: Wanted, sight: Sight, now: float, *, read: bool) -> None:
        """Take a look into account. ``read``: nothing keeps those from working who read its output."""
        if sight.glimpse is not None:
            self._watch(sight.glimpse, now)
            self._read, self._read_at = wanted.tail or self._read, now
        elif wanted.tail is not None:
            self._take(wanted.tail, sight, now)
        if read and sum(self.ends.values()) >= self._spooled:  # all that was on disk a look ago is recorded
            self._reader_at = now
        self._spooled = sight.spooled
        if sight.alive:
            self._gone_at = None
        elif self._gone_at is None:
            self._gone_at = now

    def _take(self, tail: Tail, sight: Sight, now: float) -> None:
        """Take a look at its output into account."""
        self._mark = sight.mark
        if sight.asks is None:
            self._asked = None
        else:
            since = self.last_byte if self._asked is None else self._asked.since
            self._asked = Question(now if since is None else since, "question", sight.asks)
        if sight.new:
            self._repeats_since = None
        elif self._repeats_since is None:
            self._repeats_since = self._read_at  # what was not seen then was not there before
        self._read, self._read_at = tail, now

    def _watch(self, glimpse: Glimpse, now: float) -> None:
        """Take a look at its screen into account. What it asks is believed once the screen is settled, and until it
        shows that no more."""
        self._mark, prompt = glimpse.mark, glimpse.prompt
        since = now if self.last_byte is None else self.last_byte
        if prompt is None:
            self._asked = self._idle = None
        elif glimpse.settled and prompt.kind == "idle":
            self._asked, self._idle = None, self._idle or Said("idle", since)
        elif glimpse.settled and prompt.kind != "idle" and not _is_same(self._asked, prompt):
            self._asked, self._idle = Question(since, prompt.kind, prompt.text), None
        if glimpse.new:
            self._repeats_since = None
        elif glimpse.grown and self._repeats_since is None and self.last_byte is not None:
            self._repeats_since = now if self._read_at is None else self._read_at

    def is_ending(self, now: float, policy: Policy) -> bool:
        """Its leader is gone, which is about to be recorded: until then nothing is to be said of it."""
        return self._gone_at is not None and now - self._gone_at < policy.late_after

    def judge(self, sight: Sight, now: float, wall: float, policy: Policy) -> Verdict:
        """Judge it by all that is known, at a moment that is not before any other."""
        size = self.size
        before, size_before = self._seen
        grown, passed = size - size_before, now - before
        self._seen = (now, size)
        cpu = self._cpu_use(sight, now, policy)
        session = self.session or SessionPulse()
        answered = cpu is not None and cpu >= policy.painting_cpu  # who waits for an answer does not compute
        evidence = Evidence(
            now=now,
            wall=wall,
            asked_at=self.asked_at,
            started_at=self.started_at,
            exit=None if self._gone_at is None else Exit(self._gone_at, reported=False),
            reader_at=self._reader_at,
            last_byte=self.last_byte,
            last_event=session.last_event,
            repeats_since=self._repeats_since,
            size=size,
            rate=grown / passed if grown > 0 and passed > 0 and before else 0.0,
            cpu=cpu,
            descendants=sight.descendants,
            zombies=sight.zombies,
            blocked=next(iter(self.blocked.values()), ""),
            question=session.question or (None if answered else self._asked),
            quota_until=session.quota_until,
            said=session.said or self._idle,
            mark=session.mark or self._mark,
        )
        self.verdict = judge_liveness(evidence, policy, self.verdict)
        return self.verdict

    def _cpu_use(self, sight: Sight, now: float, policy: Policy) -> float | None:
        """None where it is not known whether it computes."""
        if self.started_at is None:
            return 0.0
        if sight.cpu is None or not sight.alive:
            return None
        if self._cpu is None:
            self._cpu = LongRate(policy.cpu_window, self.started_at)
        use = self._cpu.at(now, sight.cpu)
        return None if sight.partial and use < policy.painting_cpu else use


def _is_same(asked: Question | None, prompt: Prompt) -> bool:
    return asked is not None and (asked.kind, asked.text) == (prompt.kind, prompt.text)
