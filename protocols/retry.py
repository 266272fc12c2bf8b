"""Whether a failed attempt is followed by another one, and when: what a plan says of each cause of failure."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

import msgspec

from protocols.backoff import delay
from protocols.section import Section

__all__ = ["Cause", "RetryPolicy", "read_retry"]

Cause: TypeAlias = Literal["exit", "timeout", "stalled", "output", "quota", "lost"]
"""Why an attempt failed. ``exit``: by itself, for want of something, or over a limit. ``output``: what it gave is not
as the plan wants it. ``quota``: its transport said so. ``lost``: nobody knows how it ended."""
_CAUSES: tuple[Cause, ...] = get_args(Cause)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """None where nothing is said."""

    counts: dict[Cause, int] = {}
    """Further attempts after those that failed for such a cause. The other causes share the ``retries`` of the task;
    but who stood still is begun again as often as its ladder says."""
    limit: float | None = None
    """Seconds: no pause is longer."""
    jitter: bool | None = None

    def over(self, base: "RetryPolicy", *, anew: bool) -> "RetryPolicy":
        """This level where it says something, else ``base``. ``anew``: the counts below do not hold any more."""
        return RetryPolicy(
            counts={**({} if anew else base.counts), **self.counts},
            limit=base.limit if self.limit is None else self.limit,
            jitter=base.jitter if self.jitter is None else self.jitter,
        )

    def allows(self, retries: int, failures: Mapping[Cause, int], cause: Cause | None) -> bool:
        """Whether there is another attempt. ``failures``: how often each cause was met, the last time included.
        Without a cause it was nobody's failure."""
        if cause is None:
            return True
        if cause in self.counts:
            return failures.get(cause, 0) <= self.counts[cause]
        shared = (count for met, count in failures.items() if met not in self.counts and met != "stalled")
        return cause == "stalled" or sum(shared) <= retries

    def pause(self, number: int, first: float, pause_of: Callable[..., float] = delay) -> float:
        """Seconds until the next attempt, after attempt ``number``. ``pause_of`` is called as `delay` is."""
        said: dict[str, object] = {} if self.limit is None else {"ceiling": self.limit}
        if self.jitter is False:
            said["random"] = lambda: 1.0
        return pause_of(number, first, **said)


def read_retry(section: Section) -> tuple[RetryPolicy, float | None]:
    """The key ``retry`` of a level, and the ``backoff`` of it."""
    table = section.table("retry", "{ exit = 2, timeout = 0 }, or retries = 2 for all causes")
    if table is None:
        return RetryPolicy(), None
    table.check_keys((*_CAUSES, "backoff", "backoff_limit", "jitter"), {})
    backoff = table.duration("backoff", zero=True)
    if "backoff" in table and "backoff" in section:
        table.reject("backoff", "stands beside retry too; remove one of them")
    counts = {cause: count for cause in _CAUSES if (count := table.count(cause, 0)) is not None}
    limit, jitter = table.duration("backoff_limit", zero=True), table.flag("jitter")
    return RetryPolicy(counts=counts, limit=limit, jitter=jitter), backoff
