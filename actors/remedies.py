"""Does something about workers that stand still, as the policy of each says: one step at a time, each on record."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import trio

from actors.keyboard import interrupt, type_text
from actors.messages import Append
from actors.orders import Decision, Order
from protocols.events import WorkerAction
from protocols.ids import TaskId, WorkerId
from protocols.layout import streams_of
from protocols.liveness_actions import Climb, Ladder, Remedy, climb
from protocols.liveness_states import Action
from protocols.plan import Task
from protocols.pulse import Pulse

__all__ = ["Care", "Deed", "Remedies"]

_ALL: frozenset[Action] = frozenset(("tell", "nudge", "interrupt", "restart", "fail"))
_ENDS: Mapping[Action, Literal["restart", "fail"]] = {"restart": "restart", "fail": "fail"}


class Care(msgspec.Struct, frozen=True):
    """What is done about one worker, and by what it can be reached."""

    ladder: Ladder
    nudge: str
    terminal: bool
    has_input: bool

    @classmethod
    def of(cls, task: Task) -> "Care":
        """A worker counts as well again after twice the silence that is normal for it: an echo is no health."""
        health = max(Ladder().health, 2 * task.quiet_after)
        ladder = Ladder(steps=task.on_stalled, pause=task.stalled_pause, health=health)
        terminal = "terminal" in streams_of(task.source)
        return cls(ladder, task.nudge, terminal, terminal or task.stdin.kind == "pipe")

    @property
    def possible(self) -> frozenset[Action]:
        return _ALL if self.has_input else _ALL - {"nudge"}


@dataclass(frozen=True, slots=True)
class Deed:
    """One step, to be done or to be told that it was left out."""

    worker: WorkerId
    attempt: int
    action: Action
    reason: str
    left_out: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedies:
    """One for all workers of a run. What was done about a worker is remembered over its attempts."""

    care: Callable[[WorkerId], Care]
    """Asked for those alone that stand still."""
    orders: trio.MemorySendChannel[Order]
    decisions: trio.MemorySendChannel[Decision]
    now: Callable[[], float] = time.time
    _climbs: dict[WorkerId, Climb] = field(default_factory=dict, init=False)
    """Of those that stood still once."""
    _began_at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_began_at", self.now())

    def remember(self, action: WorkerAction) -> None:
        """Count what was done under an earlier supervisor of the run: no action is repeated for ever."""
        if action.at < self._began_at and not action.failed and action.action != "tell":
            climbed = self._climbs.get(action.worker, Climb())
            self._climbs[action.worker] = msgspec.structs.replace(climbed, taken=(*climbed.taken, action.action))

    def choose(self, pulse: Pulse) -> list[Deed]:
        """What is to be done now, by the last verdict. To be called once after each."""
        worker, verdict = pulse.worker, pulse.verdict
        before = self._climbs.get(worker)
        if verdict is None or pulse.stopping or (before is None and verdict.state != "stalled"):
            return []
        care, before = self.care(worker), before or Climb()
        after = self._climbs[worker] = climb(care.ladder, before, verdict, care.possible)
        deeds = [
            Deed(worker, pulse.attempt, action, after.reason, "it has no input")
            for action in care.ladder.steps[before.step : after.step]
            if action not in care.possible
        ]
        return [*deeds, Deed(worker, pulse.attempt, after.due, after.reason)] if after.due is not None else deeds

    async def do(self, deed: Deed, outbox: trio.MemorySendChannel[Append]) -> None:
        """Do it and record it; what ends a worker is recorded first."""
        action = WorkerAction(
            at=self.now(),
            worker=deed.worker,
            attempt=deed.attempt,
            action=deed.action,
            reason=deed.reason,
            failed=deed.left_out or await self._reach(deed),
        )
        await outbox.send(Append(action))
        if deed.action in _ENDS:
            with suppress(trio.BrokenResourceError):  # all is decided already
                await self.decisions.send(Remedy(TaskId(deed.worker), deed.attempt, _ENDS[deed.action], deed.reason))

    async def _reach(self, deed: Deed) -> str:
        """Why it did not arrive; empty where it did, or need not."""
        care = self.care(deed.worker)
        match deed.action:
            case "nudge":
                text = care.nudge.encode()
                return await type_text(self.orders, deed.worker, deed.attempt, text, enter=True, terminal=care.terminal)
            case "interrupt":
                return await interrupt(self.orders, deed.worker, deed.attempt)
            case _:
                return ""
