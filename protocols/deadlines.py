"""The time that an attempt has: how long it may take, how long it may say nothing, and when it is told of its end."""

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from protocols.durations import format_duration
from protocols.liveness_states import WAITING
from protocols.pulse import Pulse
from protocols.section import Section

__all__ = ["TERM_KEYS", "Deadline", "Due", "Terms", "read_terms"]

TERM_KEYS = ("quiet_timeout", "warn_before", "warning", "counts_waiting")
_LONGEST_WARNING = 1000
_LEAST = 1.0  # seconds of waiting that are worth a word to who keeps the time


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan says besides ``timeout``. None where it says nothing."""

    quiet_timeout: float | None = None
    """Seconds without a byte and without an event after which an attempt is ended."""
    warn_before: float | None = None
    """Seconds before its timeout in which the worker is told of it."""
    warning: str | None = None
    """What it is told."""
    counts_waiting: bool | None = None
    """False: time in which it waits for a permission or for quota is no part of its timeouts."""

    def over(self, base: "Terms") -> "Terms":
        """These where they say something, else ``base``."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(base, **said)


def read_terms(section: Section) -> Terms:
    """The keys `TERM_KEYS` of a level."""
    warning = section.text("warning")
    if warning is not None and len(warning.encode()) > _LONGEST_WARNING:
        section.reject("warning", f"longer than {_LONGEST_WARNING} bytes, which agents take for a paste; write less")
    return Terms(
        quiet_timeout=section.duration("quiet_timeout", zero=False),
        warn_before=section.duration("warn_before", zero=False),
        warning=warning,
        counts_waiting=section.flag("counts_waiting"),
    )


class Warn(msgspec.Struct, frozen=True):
    """Tell the worker that it has so many seconds left."""

    left: float
    text: str


class Expire(msgspec.Struct, frozen=True):
    """End it."""

    detail: str


class Extend(msgspec.Struct, frozen=True):
    """Its timeout is so many seconds from now."""

    left: float


Due: TypeAlias = Warn | Expire | Extend


@dataclass(slots=True)
class Deadline:
    """What is due of one attempt while it runs. Moments are those of the looks at it."""

    attempt: int
    terms: Terms
    timeout: float | None
    _seen_at: float | None = None
    _heard_at: float = 0.0
    _quiet: float = 0.0
    """Seconds in which it was watched and nothing was heard of it."""
    _warned: bool = False
    _expired: bool = False
    _granted: float = 0.0
    """Seconds of waiting of which who keeps its time knows."""

    def look(self, pulse: Pulse, now: float) -> list[Due]:
        """To be called at each heartbeat, after its verdict."""
        if pulse.started_at is None or pulse.stopping or self._expired:
            return []
        excluded = self.terms.counts_waiting is False
        waits = excluded and pulse.verdict is not None and pulse.verdict.state in WAITING
        due: list[Due] = []
        if self.terms.quiet_timeout is not None:
            due += self._listen(pulse, now, self.terms.quiet_timeout, excused=waits)
        self._seen_at = now
        if self.timeout is not None:
            waited = pulse.waited_until(now) if excluded else 0.0
            due += self._count(pulse, pulse.started_at + self.timeout + waited - now, waited)
        return due

    def _listen(self, pulse: Pulse, now: float, longest: float, *, excused: bool) -> list[Due]:
        watched = self._seen_at is not None and pulse.verdict is not None and pulse.verdict.state != "unknown"
        if pulse.heard_at != self._heard_at:
            self._heard_at, self._quiet = pulse.heard_at, 0.0
        if self._seen_at is not None and watched and not excused:  # what nobody saw proves nothing
            self._quiet += now - max(self._heard_at, self._seen_at)
        if self._quiet < longest:
            return []
        self._expired = True
        return [Expire(f"nothing was heard of it for {format_duration(longest)}")]

    def _count(self, pulse: Pulse, left: float, waited: float) -> list[Due]:
        due: list[Due] = []
        if waited - self._granted >= _LEAST:
            self._granted = waited
            due.append(Extend(max(left, 0.0)))
        before = self.terms.warn_before
        if before is not None and 0 < left <= before and not (self._warned or pulse.warned):
            self._warned = True
            due.append(Warn(left, self.terms.warning or _warning(left)))
        return due


def _warning(left: float) -> str:
    return f"Your time is over in {format_duration(max(round(left), 1))}: finish now, or write down how far you are."
