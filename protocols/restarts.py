"""Whether, and when, a worker that has ended is started again: what ``restart`` in a plan means."""

from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from protocols.backoff import delay
from protocols.durations import format_duration
from protocols.outcomes import Verdict
from protocols.section import Section

__all__ = ["SHORTEST", "Again", "RestartPolicy", "Restarts", "When", "read_restart"]

When: TypeAlias = Literal["never", "on-failure", "always"]

SHORTEST = 0.1
"""Seconds that a pause (before its jitter) and a healthy time last at least, so that no crash loop can spin."""
_WHENS: tuple[When, ...] = ("never", "on-failure", "always")
_KEYS = ("when", "limit", "window", "healthy_after")


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """``retries`` are the bounded attempts of a task that is to finish; this is for a service that is to run. Its task
    is over when it is stopped, when it ends in a way that ``when`` leaves alone, or when it is parked."""

    when: When = "never"
    limit: int = 5
    """After so many restarts within ``window`` seconds the next end parks it."""
    window: float = 60.0
    healthy_after: float = 10.0
    """Seconds. Who lived so long is restarted at once, and what went wrong before is forgotten."""


class Again(msgspec.Struct, frozen=True):
    """Start it again after ``pause`` seconds; 0 is now."""

    pause: float


class Restarts:
    """One worker's restarts. ``first`` and ``pause_of`` make the pauses, as `protocols.backoff.delay` does."""

    def __init__(self, policy: RestartPolicy, first: float, pause_of: Callable[[int, float], float] = delay) -> None:
        self._policy = policy
        self._first = first
        self._pause_of = pause_of
        self._failures = 0
        """In a row, without a healthy time."""
        self._moments = deque[float]()
        """Of the restarts that the window still holds."""

    def ended(self, now: float, lived: float, verdict: Verdict) -> Again | Verdict:
        """What follows from the end of an attempt that lived so many seconds. A verdict: its task is over."""
        if not self._wanted(verdict):
            return verdict
        while self._moments and self._moments[0] <= now - self._policy.window:
            self._moments.popleft()
        if len(self._moments) >= self._policy.limit:
            return Verdict("parked", self._parked(verdict), retry=False)
        self._failures = 0 if lived >= self._policy.healthy_after else self._failures + 1
        pause = self._pause_of(self._failures, self._first) if self._failures else 0.0
        self._moments.append(now + pause)
        return Again(pause)

    def _wanted(self, verdict: Verdict) -> bool:
        match self._policy.when:
            case "always":
                return verdict.status != "stopped"
            case "on-failure":
                return verdict.retry
            case "never":
                return False

    def _parked(self, verdict: Verdict) -> str:
        count, window = len(self._moments), format_duration(self._policy.window)
        end = verdict.reason or "exit code 0"
        return f"{end}, after {count} restart{'' if count == 1 else 's'} within {window}; correct it and run it again"


def read_restart(section: Section) -> RestartPolicy | None:
    """The key ``restart`` of a level: one word, or a table of all that there is to say."""
    written = section.get("restart")
    if written is None:
        return None
    if not isinstance(written, dict):
        when = _when(section, "restart")
        return None if when is None else RestartPolicy(when=when)
    table = section.table("restart")
    return None if table is None else _read_table(table)


def _read_table(table: Section) -> RestartPolicy | None:
    table.check_keys(_KEYS, {})
    when = _when(table, "when")
    if "when" not in table:
        table.reject("when", 'missing; write "on-failure" or "always"')
    said = {
        "limit": table.count("limit", 1),
        "window": table.duration("window", zero=False),
        "healthy_after": _healthy_after(table),
    }
    return None if when is None else RestartPolicy(when=when, **{key: each for key, each in said.items() if each})  # type: ignore[arg-type] # each reader returns the type of its key


def _when(section: Section, key: str) -> When | None:
    return section.choice(key, _WHENS, "no rule for restarts")


def _healthy_after(table: Section) -> float | None:
    seconds = table.duration("healthy_after", zero=False)
    if seconds is not None and seconds < SHORTEST:
        table.reject(
            "healthy_after", f"shorter than {format_duration(SHORTEST)}, so a crash loop would count as health"
        )
    return seconds
