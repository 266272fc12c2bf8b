"""What a role does about a worker that stands still: a ladder of actions, climbed one step at a time."""

from typing import Literal, get_args

import msgspec

from protocols.durations import format_elapsed
from protocols.ids import TaskId
from protocols.liveness_states import Action, State
from protocols.section import Section
from protocols.verdict import Verdict
from protocols.wording import quote

__all__ = ["Climb", "Ladder", "Remedy", "climb", "read_steps"]

_ACTIONS: tuple[Action, ...] = get_args(Action)
_HEALTHY: frozenset[State] = frozenset(("reading", "thinking", "working", "testing", "idle"))


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of a role. Seconds."""

    steps: tuple[Action, ...] = ("tell",)
    pause: float = 60.0
    """The time that an action gets to help before the next one."""
    health: float = 120.0
    """How long a worker has to be well without a break until the ladder begins anew."""
    most: int = 3
    """How often one action is taken for one worker in all, however often it seemed to help. Only ``tell`` has no limit:
    no stall goes untold."""


class Remedy(msgspec.Struct, frozen=True):
    """What is to become of a task whose worker is ended because it stands still."""

    task: TaskId
    attempt: int
    action: Literal["restart", "fail"]
    reason: str


class Climb(msgspec.Struct, frozen=True):
    """How far the ladder was climbed for one worker, over all of its attempts."""

    due: Action | None = None
    """What to do now. It counts as done."""
    reason: str = ""
    """Why it is due, or why nothing is left to do."""
    step: int = 0
    """How many steps of the ladder are behind us in this stall."""
    acted_at: float | None = None
    last: Action | None = None
    well_since: float | None = None
    taken: tuple[Action, ...] = ()
    """What was done so far in all, without ``tell``."""


def climb(ladder: Ladder, so_far: Climb, verdict: Verdict, possible: frozenset[Action] = frozenset(_ACTIONS)) -> Climb:
    """Take the next verdict into account, every time there is one. `Climb.due` says what to do about it.

    ``possible``: what this worker can take at all (a process that reads nothing cannot be nudged); other steps are left
    out. Only a confirmed stall brings an action; each comes once a stall. A stall is not over before the worker was
    well for `Ladder.health`: what comes back sooner goes on where the ladder was left. Times are those of the verdicts.
    """
    now = verdict.watch.now if verdict.watch is not None else verdict.since
    if verdict.state in _HEALTHY and verdict.confirmed:
        return _well(ladder, so_far, now)
    acted_at = None if so_far.acted_at is None else min(so_far.acted_at, now)
    calm = msgspec.structs.replace(so_far, due=None, reason="", well_since=None, acted_at=acted_at)
    if verdict.state != "stalled" or not verdict.confirmed:
        return calm
    if acted_at is not None and now - acted_at < ladder.pause:
        return calm
    step = _next_step(ladder, so_far, possible)
    if step >= len(ladder.steps):
        return msgspec.structs.replace(calm, step=step, reason=_exhausted(ladder, so_far))
    action = ladder.steps[step]
    return Climb(
        due=action,
        reason=_because(verdict, so_far, now),
        step=step + 1,
        acted_at=now,
        last=action,
        taken=so_far.taken if action == "tell" else (*so_far.taken, action),
    )


def read_steps(section: Section, key: str) -> tuple[Action, ...] | None:
    """The steps that a plan names, such as ``on_stalled = ["tell", "restart", "fail"]``; None where it says nothing.
    Mistakes are reported to the section."""
    written = section.strings(key)
    steps: list[Action] = []
    for word in written or ():
        action = next((action for action in _ACTIONS if action == word), None)
        if action is None:
            guess = section.guess(word, _ACTIONS) or f"; write some of {', '.join(map(quote, _ACTIONS))}"
            section.reject(key, f"no action {quote(word)}{guess}")
        elif action in steps:
            section.reject(key, f"{quote(word)} stands twice; each action is taken once, remove one")
        elif steps and steps[-1] == "fail":
            section.reject(key, f'{quote(word)} after "fail" is never reached; move "fail" to the end')
        else:
            steps.append(action)
    return None if written is None else tuple(steps)


def _well(ladder: Ladder, so_far: Climb, now: float) -> Climb:
    since = now if so_far.well_since is None else min(so_far.well_since, now)
    if so_far.step and now - since >= ladder.health:
        return Climb(well_since=since, taken=so_far.taken, reason=f"well again for {format_elapsed(now - since)}")
    return msgspec.structs.replace(so_far, due=None, reason="", well_since=since)


def _next_step(ladder: Ladder, so_far: Climb, possible: frozenset[Action]) -> int:
    """The first step that is neither behind us, nor impossible, nor used up; beyond the ladder where there is none."""
    if so_far.last == "fail":
        return len(ladder.steps)
    for step in range(so_far.step, len(ladder.steps)):
        action = ladder.steps[step]
        again = action in ladder.steps[: so_far.step]
        if action in possible and not again and so_far.taken.count(action) < ladder.most:
            return step
    return len(ladder.steps)


def _exhausted(ladder: Ladder, so_far: Climb) -> str:
    if not ladder.steps:
        return "the policy says to do nothing"
    done = f"; the last was {quote(so_far.last)}" if so_far.last is not None else ""
    return f"no action is left{done}"


def _because(verdict: Verdict, so_far: Climb, now: float) -> str:
    reason = "stalled" if verdict.watch is None else f"silent for {format_elapsed(verdict.watch.silence)}"
    if so_far.last is None or so_far.acted_at is None:
        return reason
    ago = format_elapsed(max(now - so_far.acted_at, 0.0))
    return f"{reason}; {quote(so_far.last)} {ago} ago did not help for long"
