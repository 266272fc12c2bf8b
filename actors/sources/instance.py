"""The source of instances: each attempt is a callboard of its own, run by the keeper and followed by a link."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec
import trio

from actors.instance_place import find_run, find_run_of, hand_over, read_errors, read_token, write_summary
from actors.instance_stop import stop_in_order
from actors.link import Link
from actors.messages import Append, Greeting
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk
from protocols.errors import SpawnError
from protocols.events import InstanceLinked, WorkerStarted
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.instances import HANDOVER, Bounds
from protocols.keeper import Ended, Report, Spawn, Spawned, Stop
from protocols.keeper_codec import to_os
from protocols.layout import FleetFolder
from protocols.plain import format_counts
from protocols.states import InstanceLink

__all__ = ["InstanceSource"]

_REPORTS = 16
_FINE = frozenset({0, 130})  # it did what it was told, or was told to stop


@dataclass(slots=True, eq=False)
class _Guest:
    """One attempt."""

    ask: AskSpawn
    token: str = ""
    run: RunId | None = None
    greeted: trio.Event = field(default_factory=trio.Event)
    link: Link | None = None

    @property
    def task(self) -> TaskId:
        return self.ask.order.task.id


@dataclass(slots=True)
class _State:
    keeper: trio.MemorySendChannel[KeeperAsk]
    nursery: trio.Nursery
    links: dict[TaskId, InstanceLink]
    """What has come up of each instance, whatever attempt it was."""
    guests: dict[AttemptId, _Guest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSource:
    """A source as `actors.source` tells, for the tasks that are instances; the keeper starts and ends them.

    The end of an attempt is told when all records of the instance are on their way to the journal.
    """

    folder: FleetFolder
    path: str
    """Of this run, in the tree of instances."""
    bounds: Bounds
    """What this run may do."""
    standing: bool = False
    """It starts as many as it is given, one after the other."""
    asks: trio.MemoryReceiveChannel[KeeperAsk]
    keeper: trio.MemorySendChannel[KeeperAsk]
    greetings: trio.MemoryReceiveChannel[Greeting]
    outbox: trio.MemorySendChannel[Append]
    links: Mapping[TaskId, InstanceLink] = field(default_factory=dict)
    """What an earlier supervisor has taken of each."""
    limiter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, 4))
    counter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, 1))
    """Of those that are counted before they begin: one after the other."""
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until nobody asks any more."""
        async with self.keeper.clone() as keeper, trio.open_nursery() as nursery:
            state = _State(keeper, nursery, dict(self.links))
            nursery.start_soon(self._welcome, state)
            task_status.started()
            async for ask in self.asks:
                if isinstance(ask, AskSpawn):
                    nursery.start_soon(self._host, ask, state)
                elif isinstance(ask.request, Stop) and ask.request.attempt in state.guests and ask.request.grace:
                    nursery.start_soon(self._stop, ask, ask.request, state)
                else:
                    await keeper.send(ask)
            nursery.cancel_scope.cancel(reason="nobody asks for instances any more")

    async def _welcome(self, state: _State) -> None:
        async for greeting in self.greetings:
            guests = state.guests.values()
            guest = next((each for each in guests if each.token and each.token == greeting.token), None)
            with greeting.answer:
                if guest is not None:
                    guest.run = greeting.run
                    guest.greeted.set()
                    greeting.answer.send_nowait(f"{self.path}/{guest.task}")

    async def _stop(self, ask: Ask, stop: Stop, state: _State) -> None:
        """It is told first; whatever comes of that, the ladder follows."""
        guest = state.guests[stop.attempt]
        if guest.run is not None:
            folder = self.folder.instance(guest.task).run(guest.run)
            await stop_in_order(folder, stop.grace, guest.ask.order.task.grace)
        await state.keeper.send(ask)

    async def _host(self, ask: AskSpawn, state: _State) -> None:
        guest = _Guest(ask)
        try:
            request = await self._prepare(guest)
        except SpawnError as error:
            return _give(ask, Answer(error=error))
        state.guests[request.attempt] = guest
        send, reports = trio.open_memory_channel[Report](_REPORTS)
        try:
            with send, reports:
                answer = await self._start(AskSpawn(request, ask.answer, send, ask.order), state)
                if answer.error is not None:
                    await self._take_rest(guest, state)  # of one that is gone
                    await self._summarize(guest)
                _give(ask, answer)
                if answer.error is None:
                    if request.resume:
                        await self._meet(guest, msgspec.json.decode(answer.ok, type=Spawned))
                    await self._follow(guest, reports, state)
        finally:
            del state.guests[request.attempt]
        return None

    async def _prepare(self, guest: _Guest) -> Spawn:
        """The request with what the instance is told. Raise `SpawnError`."""
        order, request = guest.ask.order, guest.ask.request
        if request.resume:
            look = partial(read_token, self.folder.instance(order.task.id))
            guest.token = await trio.to_thread.run_sync(look, limiter=self.limiter)
            if order.open is not None and order.open.started is not None:  # a stop of it may come at once
                await self._meet(guest, order.open.started)
            return request
        most = None if self.standing else self.bounds.fan_out
        write = partial(hand_over, order, self.folder, self.path, self.bounds, most=most)
        guest.token = (await trio.to_thread.run_sync(write, limiter=self.counter)).token
        place = self.folder.instance(order.task.id)
        argv = [*request.argv]
        if order.task.instance is not None and order.task.instance.giver is not None:
            argv[2] = to_os(bytes(place.plan))
        variable = to_os(HANDOVER.encode() + b"=" + bytes(place.handover))
        return msgspec.structs.replace(request, argv=tuple(argv), env=(*request.env, variable))

    async def _start(self, ask: AskSpawn, state: _State) -> Answer:
        send, receive = trio.open_memory_channel[Answer](1)
        with send, receive:
            await state.keeper.send(AskSpawn(ask.request, send, ask.reports, ask.order))
            return await receive.receive()

    async def _meet(self, guest: _Guest, process: Spawned | WorkerStarted) -> None:
        """One that goes on may have said that it is there to an earlier supervisor; else it will say so to us."""
        look = partial(find_run_of, self.folder.instance(guest.task), process.pid, process.start_ticks)
        guest.run = guest.run or await trio.to_thread.run_sync(look, limiter=self.limiter)
        if guest.run is not None:
            guest.greeted.set()

    async def _follow(self, guest: _Guest, reports: trio.MemoryReceiveChannel[Report], state: _State) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link, guest, state)
            async for report in reports:
                if isinstance(report, Ended):
                    break
                await _tell(guest, report)
            nursery.cancel_scope.cancel(reason="the instance has ended")
        await self._take_rest(guest, state)
        if isinstance(report, Ended):
            await _tell(guest, await self._explain(guest, report))

    async def _link(self, guest: _Guest, state: _State) -> None:
        await guest.greeted.wait()
        if guest.run is not None:
            guest.link = await self._open_link(guest, guest.run, state)
            await guest.link.run()

    async def _open_link(self, guest: _Guest, run: RunId, state: _State) -> Link:
        """Its numbers go on where they were, if it has gone on with the run that it had."""
        left = state.links.get(guest.task)
        if left is None or left.run != run:
            left = state.links[guest.task] = InstanceLink(run)
        order, worker = guest.ask.order, WorkerId(guest.task)
        linked = InstanceLinked(at=self.now(), worker=worker, attempt=order.attempt, run=run)
        await self.outbox.send(Append(linked))
        return Link(
            task=guest.task,
            folder=self.folder.instance(guest.task).run(run),
            intake=left,
            outbox=self.outbox,
            limiter=self.limiter,
        )

    async def _take_rest(self, guest: _Guest, state: _State) -> None:
        """All that it told, also where it never said that it was there."""
        if guest.link is None:
            look = partial(find_run, self.folder.instance(guest.task))
            guest.run = guest.run or await trio.to_thread.run_sync(look, limiter=self.limiter)
            if guest.run is None:
                return
            guest.link = await self._open_link(guest, guest.run, state)
        await guest.link.catch_up()

    async def _explain(self, guest: _Guest, ended: Ended) -> Ended:
        """Its end with what it said of that; and what it gives to others, where somebody wants it."""
        order, worker = guest.ask.order, WorkerId(guest.task)
        if ended.reason == "exit" and ended.code is not None and ended.code not in _FINE and not ended.detail:
            look = partial(read_errors, self.folder.spool(worker, order.attempt, "stderr"))
            errors = await trio.to_thread.run_sync(look, limiter=self.limiter)
            end = None if guest.link is None else guest.link.end
            told = errors or ("" if end is None else f"its run {end.outcome} ({format_counts(end.counts)})")
            ended = msgspec.structs.replace(ended, detail=told)
        if ended.code == 0:
            await self._summarize(guest)
        return ended

    async def _summarize(self, guest: _Guest) -> None:
        """Where its report is wanted."""
        order = guest.ask.order
        if order.task.output is None or order.task.output.kind != "report" or guest.link is None:
            return
        write = partial(write_summary, self.folder, WorkerId(guest.task), order.attempt, guest.link.folder)
        with suppress(OSError, ValueError):  # then there is no output, which is told
            await trio.to_thread.run_sync(write, limiter=self.limiter)


async def _tell(guest: _Guest, report: Report) -> None:
    with suppress(trio.BrokenResourceError):  # who asked has failed
        await guest.ask.reports.send(report)


def _give(ask: AskSpawn, answer: Answer) -> None:
    with suppress(trio.BrokenResourceError):  # who asked was cancelled
        ask.answer.send_nowait(answer)
