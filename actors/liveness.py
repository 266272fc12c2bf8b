"""Judges all workers of a run, at each heartbeat, and tells the journal where a verdict is another one than before."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Protocol

import trio

from actors.deadlines import Deadlines
from actors.messages import Append, Subscribe
from actors.remedies import Remedies
from actors.subscription import follow_records
from protocols.events import WorkerAction, WorkerVerdict
from protocols.fan_out import planned
from protocols.ids import WorkerId
from protocols.layout import FleetFolder
from protocols.pulse import Pulse
from protocols.pulses import Pulses
from protocols.sight import Sight, Wanted
from protocols.silence import Policy

__all__ = ["Inspection", "Liveness"]

_CROWD = 0.1  # seconds in which records gather: taking them one by one would cost more
_LATE = 1.0  # older than that, a record belongs to what there is to catch up with
_BUFFER = 4096
_TAILS = 100  # ends of output that one look reads
_TURN = 25  # verdicts between which others get their turn; each takes some 30 microseconds


class Inspection(Protocol):
    """Looks at workers; `actors.inspection` is the real one."""

    async def look(self, wanted: Sequence[Wanted], keeper: int | None) -> tuple[list[Sight], bool]: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Round:
    """What is known between two looks."""

    inspection: Inspection
    pulses: Pulses = field(default_factory=Pulses)
    busy: trio.Event = field(default_factory=trio.Event)
    """Set when some worker runs."""
    turn: int = 0
    """Whose output is looked at first."""

    def wanted(self) -> list[Wanted]:
        """All that run, with the ends of as many outputs as may be read; every one gets its turn."""
        running = list(self.pulses.running.values())
        self.turn = self.turn % len(running) if running else 0
        running = running[self.turn :] + running[: self.turn]
        found, left = [], _TAILS
        for pulse in running:
            wanted = pulse.wanted(tail=left > 0)
            left -= wanted.tail is not None
            self.turn += left > 0
            found.append(wanted)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """Judge until the hub ends, or this is cancelled: no verdict is worth waiting for.

    Nobody waits for it either. What it misses of the records it reads from the journal; where it fails, it begins
    again from there.
    """

    folder: FleetFolder
    subscribe: trio.MemorySendChannel[Subscribe]
    outbox: trio.MemorySendChannel[Append]
    inspect: Callable[[], Inspection]
    policies: Mapping[WorkerId, Policy]
    """By the tasks of the plan; those that are made in mid-run are judged as the ones for which they are made."""
    remedies: Remedies | None = None
    """Who does something about stalls."""
    deadlines: Deadlines | None = None
    """Who keeps the time of those that have more than a timeout."""
    heartbeat: float = 5.0
    """Seconds between two looks."""
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with closing(self.inspect()) as inspection:
            state = _Round(inspection)
            async with self.outbox.clone() as outbox, trio.open_nursery() as nursery:
                nursery.start_soon(self._beat, state, outbox, nursery)
                task_status.started()
                await self._follow(state)
                nursery.cancel_scope.cancel(reason="there are no more records")

    async def _follow(self, state: _Round) -> None:
        async with aclosing(follow_records(self.folder.journal, self.subscribe, buffer=_BUFFER)) as records:
            rest_at = 0.0
            async for record in records:
                now, age = trio.current_time(), max(self.now() - record.event.at, 0.0)
                state.pulses.apply(record.event, now - age)
                if self.remedies is not None and isinstance(record.event, WorkerAction):
                    self.remedies.remember(record.event)
                if state.pulses.running:
                    state.busy.set()
                if now >= rest_at and age < _LATE:
                    await trio.sleep(_CROWD)
                    rest_at = trio.current_time() + _CROWD / 10

    async def _beat(self, state: _Round, outbox: trio.MemorySendChannel[Append], nursery: trio.Nursery) -> None:
        while True:
            if not state.pulses.running:
                state.busy = trio.Event()
                await state.busy.wait()
            await trio.sleep(self.heartbeat)
            wanted = state.wanted()
            sights, read = await state.inspection.look(wanted, state.pulses.keeper)
            for number, (each, sight) in enumerate(zip(wanted, sights, strict=True), 1):
                pulse = state.pulses.running.get(each.worker)
                if pulse is None or pulse.attempt != each.attempt:
                    continue  # it has ended meanwhile
                pulse.see(each, sight, trio.current_time(), read=read)
                await self._judge(pulse, sight, outbox)
                if self.remedies is not None:
                    for deed in self.remedies.choose(pulse):
                        nursery.start_soon(self.remedies.do, deed, outbox)
                if self.deadlines is not None:
                    for due in self.deadlines.choose(pulse, trio.current_time()):
                        nursery.start_soon(self.deadlines.do, pulse.worker, pulse.attempt, due, outbox)
                if number % _TURN == 0:
                    await trio.lowlevel.checkpoint()

    async def _judge(self, pulse: Pulse, sight: Sight, outbox: trio.MemorySendChannel[Append]) -> None:
        now, wall, policy = trio.current_time(), self.now(), self.policies[WorkerId(planned(pulse.worker))]
        if pulse.is_ending(now, policy):
            return
        verdict = pulse.judge(sight, now, wall, policy)
        if pulse.told in ((verdict.state, verdict.confirmed), (verdict.state, True)):
            return
        pulse.told = (verdict.state, verdict.confirmed)
        event = WorkerVerdict(
            at=wall,
            worker=pulse.worker,
            attempt=pulse.attempt,
            state=verdict.state,
            confirmed=verdict.confirmed,
            reasons=verdict.reasons,
        )
        await outbox.send(Append(event))
