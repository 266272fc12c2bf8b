"""How long a worker has been silent, and how much of that was watched: what judgements remember of each other."""

import msgspec

from protocols.durations import format_elapsed
from protocols.evidence import Evidence

__all__ = ["Policy", "Watch", "excuses", "last_output", "watch"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a verdict. Seconds, if not said otherwise."""

    quiet_after: float = 60.0
    stalled_after: float = 300.0
    heartbeat: float = 5.0
    """The time between two looks, and between two beats of who reads the output."""
    hold: float = 10.0
    """How long a state stays at least, where only weak evidence is against it."""
    settle: float = 60.0
    """How long a worker must have been watched without a break before it can be stalled: after a pause of the machine
    or of ours, connections are built anew and answers come late."""
    starting_for: float = 10.0
    """How long a worker without output counts as starting; agents need up to 6.5 s for their first."""
    cpu_window: float = 10.0
    """Over how long the use of CPU is measured at least."""
    busy_cpu: float = 0.05
    """CPUs. An idle agent with its timers stays well below."""
    painting_cpu: float = 0.25
    """CPUs, where the output only repeats itself: to paint a spinner costs something too."""
    jump: float = 2.0
    """How far two clocks may drift apart between two looks. A leap second is 1."""

    @classmethod
    def of(cls, *, quiet_after: float, stalled_after: float, heartbeat: float) -> "Policy":
        """The other figures become shorter with these where they have to, never longer."""
        usual = cls()
        return cls(
            quiet_after=quiet_after,
            stalled_after=stalled_after,
            heartbeat=heartbeat,
            hold=min(usual.hold, quiet_after / 6),
            settle=min(usual.settle, stalled_after / 5),
            cpu_window=min(usual.cpu_window, quiet_after / 6),
        )

    @property
    def late_after(self) -> float:
        """Whoever says nothing for three heartbeats is late: one may get lost on a busy machine."""
        return 3 * self.heartbeat


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    now: float
    wall: float
    sign: float
    """The last moment of a sign of life, or at which something else explained the silence."""
    unseen: float
    """Seconds since ``sign`` in which nobody watched. They prove nothing."""
    broken_at: float
    """The end of the last time in which nobody watched."""
    trouble: tuple[str, ...] = ()
    """Why this look itself proves nothing."""
    exited: bool = False
    said: str = ""
    """Its last word of itself."""

    @property
    def silence(self) -> float:
        return max(self.now - self.sign, 0.0)

    @property
    def watched_silence(self) -> float:
        return max(self.now - self.sign - self.unseen, 0.0)


def watch(evidence: Evidence, policy: Policy, previous: Watch | None, *, excused: bool) -> Watch:
    """Take the next look. ``excused``: something else than output explains a silence now."""
    now = evidence.now
    sign = now if excused else _last_sign(evidence)
    trouble = _trouble(evidence, policy, previous)
    if previous is None or now < previous.now:
        unseen, broken_at = max(now - sign, 0.0), now  # the first look: what was before, nobody saw
    else:
        sign = max(sign, previous.sign)
        unseen = 0.0 if sign > previous.now else max(min(previous.unseen, now - sign), 0.0)
        broken_at = previous.broken_at
        if trouble or evidence.cpu is None:  # who cannot see whether it computes does not watch it
            unseen = min(unseen + now - previous.now, max(now - sign, 0.0))
        if trouble:
            broken_at = now
    return Watch(
        now=now,
        wall=evidence.wall,
        sign=sign,
        unseen=unseen,
        broken_at=broken_at,
        trouble=trouble,
        exited=evidence.exit is not None or (previous is not None and previous.exited),
        said="" if evidence.said is None else evidence.said.word,
    )


def excuses(evidence: Evidence, policy: Policy) -> list[str]:
    """What explains a silence for as long as it lasts, as short sentences."""
    found: list[str] = []
    least = policy.busy_cpu if evidence.repeats_since is None else policy.painting_cpu
    if evidence.cpu is not None and evidence.cpu >= least:
        found.append(f"its processes use {evidence.cpu:.2f} CPUs")
    if evidence.children_busy:
        found.append(f"{evidence.children_busy} of its sessions at work")
    if evidence.blocked:
        found.append("its output waits for us to write it")
    return found


def last_output(evidence: Evidence) -> float | None:
    """When it last put out something new: a byte that is no repetition, or an event."""
    new = evidence.last_byte
    if new is not None and evidence.repeats_since is not None:
        new = min(new, evidence.repeats_since)
    if new is None or evidence.last_event is None:
        return evidence.last_event if new is None else new
    return max(new, evidence.last_event)


def _last_sign(evidence: Evidence) -> float:
    output = last_output(evidence)
    sign = evidence.asked_at if evidence.started_at is None else evidence.started_at
    return sign if output is None else max(sign, output)


def _trouble(evidence: Evidence, policy: Policy, previous: Watch | None) -> tuple[str, ...]:
    found: list[str] = []
    if previous is not None:
        found += _clock_trouble(evidence, policy, previous)
    if evidence.started_at is not None:
        read_at = evidence.started_at if evidence.reader_at is None else evidence.reader_at
        if (late := evidence.now - read_at) > policy.late_after:
            found.append(f"who reads its output has not been heard of for {format_elapsed(late)}")
    return tuple(found)


def _clock_trouble(evidence: Evidence, policy: Policy, previous: Watch) -> list[str]:
    passed = evidence.now - previous.now
    if passed < 0:
        return [f"the clock ran back by {format_elapsed(-passed)}"]
    ahead = evidence.wall - previous.wall - passed
    if ahead > policy.jump:
        return [f"the time of day jumped ahead by {format_elapsed(ahead)}: the machine slept, or its clock was set"]
    if ahead < -policy.jump:
        return [f"the time of day was set back by {format_elapsed(-ahead)}"]
    if passed > policy.late_after:
        return [f"nobody looked for {format_elapsed(passed)}"]
    return []
