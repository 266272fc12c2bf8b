"""The traffic with one keeper, and what of it must survive that keeper."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio

from actors.adoption import Held, end_marked, may_have_started
from actors.keeper_link import KeeperLink
from actors.keeper_process.loop import boottime
from actors.keeper_table import Pending, Table, answer_to
from actors.messages import Append
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk
from actors.strays import Strays
from protocols.adoption_events import WorkerLate
from protocols.errors import KeeperError, SpawnError
from protocols.fleet_events import ProcessUnattributed
from protocols.ids import FleetId, WorkerId
from protocols.keeper import (
    MAX_MESSAGE,
    NEW_REASONS,
    Adopt,
    Ended,
    Exited,
    Extend,
    Forget,
    Message,
    Ping,
    Reply,
    Report,
    Shutdown,
    Spawned,
    Stop,
    Stopping,
    Unattributed,
)
from protocols.keeper_codec import encode_request
from protocols.keeper_inputs import Interrupt, Signal, Write

__all__ = ["KeeperService"]

logger = logging.getLogger(__name__)

_MAY_HAVE_ARRIVED = "its keeper was killed meanwhile; nobody knows whether it arrived"
_TOO_OLD = "its keeper is that of an older callboard, which sends no signals; restart the worker first"
_TOO_LARGE = "arguments, environment and the text for stdin are too large together; pass the data by a file"


@dataclass(slots=True, kw_only=True)
class KeeperService:
    """One connection. Not to be used again after `run`."""

    link: KeeperLink
    fleet: FleetId
    table: Table
    strays: Strays
    outbox: trio.MemorySendChannel[Append]
    reply_deadline: float
    now: Callable[[], float]
    lost: str = ""
    _listening_since: float = math.inf
    """On trio's clock; infinite while what the keeper said is passed on."""

    async def run(self, asks: trio.MemoryReceiveChannel[KeeperAsk], *, resumed: bool) -> str:
        """Serve until nobody asks any more. Return why the keeper is lost, empty when it is not."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_messages, nursery.cancel_scope)
            nursery.start_soon(self._watch, nursery)
            if resumed:
                await self._take_over(nursery)
            async for ask in asks:
                await self._send(ask)
            nursery.cancel_scope.cancel(reason="nobody commands the keeper any more")
        return self.lost

    async def _pass_messages(self, scope: trio.CancelScope) -> None:
        while (received := await self._receive()) is not None:
            message, fds = received
            match message:
                case Reply():
                    self._reply(message, fds)
                    await self._report_early()
                case Unattributed():
                    event = ProcessUnattributed(at=self.now(), pid=message.pid, command=message.command)
                    await self.outbox.send(Append(event))
                case _:
                    await self._report(message)
        if not self.table.finished:
            self._lose("it ended unexpectedly", scope)

    async def _receive(self) -> tuple[Message, tuple[int, ...]] | None:
        self._listening_since = trio.current_time()
        try:
            return await self.link.receive()
        finally:
            self._listening_since = math.inf

    async def _watch(self, nursery: trio.Nursery) -> None:
        """Notice a keeper that lives and does not answer: it is stopped, or its disk hangs."""
        pause = self.reply_deadline / 10
        while True:
            await trio.sleep(pause)
            if all(pending.asked_at == math.inf for pending in self.table.pending.values()):
                nursery.start_soon(self._send, Ask(Ping()))
            elif self._is_late():
                await trio.sleep(pause)  # were we the ones who slept? its replies are then here already
                if self._is_late():
                    return self._lose(f"no answer within {self.reply_deadline:g} s", nursery.cancel_scope)

    def _is_late(self) -> bool:
        asked_at = min((pending.asked_at for pending in self.table.pending.values()), default=math.inf)
        return max(asked_at, self._listening_since) < trio.current_time() - self.reply_deadline

    def _lose(self, reason: str, scope: trio.CancelScope) -> None:
        self.lost = reason
        scope.cancel(reason=f"keeper lost: {reason}")

    async def _send(self, ask: KeeperAsk, fds: tuple[int, ...] = ()) -> None:
        request = ask.request
        if ask.answer is not None or isinstance(request, Adopt | Ping):
            self.table.last_id += 1
            request = msgspec.structs.replace(request, id=self.table.last_id)
            slow = isinstance(request, Shutdown)
            self.table.pending[request.id] = Pending(ask, math.inf if slow else trio.current_time())
        if isinstance(request, Extend) and self.link.welcome.version < 2:
            return logger.warning("attempt %s: its keeper is older and keeps its first timeout", request.attempt)
        if isinstance(request, Signal) and self.link.welcome.version < 3:
            self.table.pending.pop(request.id, None)
            return answer_to(ask, Answer(error=SpawnError(_TOO_OLD, "ENOSYS")))
        if isinstance(request, Stop) and self.link.welcome.version < 2:
            request = msgspec.structs.replace(request, reason=NEW_REASONS.get(request.reason, request.reason))
        if isinstance(request, Stop | Extend) and request.attempt in self.table.held:
            self.table.held[request.attempt].change(request)
        data = encode_request(request)
        if len(data) > MAX_MESSAGE:
            self.table.pending.pop(request.id, None)
            return answer_to(ask, Answer(error=SpawnError(_TOO_LARGE, "E2BIG")))
        if isinstance(request, Shutdown):
            await self._end_strays()
        try:
            await self.link.send(data, fds)
        except OSError:
            if not self.table.finished:
                await trio.sleep_forever()  # the reader sees the end of the connection and cancels us

    def _reply(self, reply: Reply, fds: tuple[int, ...]) -> None:
        pending = self.table.pending.pop(reply.re, None)
        if pending is None:
            raise KeeperError(f"keeper (pid {self.link.pid}): reply to a request {reply.re} that nobody made")
        ask, refusal = pending.ask, reply.error
        if refusal is not None:
            if isinstance(ask.request, Adopt):
                raise KeeperError(
                    f"keeper (pid {self.link.pid}) refuses a worker of its predecessor: {refusal.message}"
                )
            return answer_to(ask, Answer(error=SpawnError(refusal.message, refusal.code)))
        if isinstance(ask, AskSpawn):
            self._hold(ask, msgspec.json.decode(reply.ok, type=Spawned), fds)
        self.table.finished = self.table.finished or isinstance(ask.request, Shutdown)
        return answer_to(ask, Answer(bytes(reply.ok)))

    def _hold(self, ask: AskSpawn, spawned: Spawned, fds: tuple[int, ...]) -> None:
        request = ask.request
        passed = self.now() - spawned.at if request.resume else 0.0
        self.table.held[request.attempt] = Held(
            spawn=request,
            reports=ask.reports,
            pid=spawned.pid,
            start_ticks=spawned.start_ticks,
            fds=fds,
            not_after=None if request.timeout is None else boottime() + request.timeout - passed,
        )

    async def _report(self, report: Report) -> None:
        held = self.table.held.get(report.attempt)
        if held is None:
            return await self._report_of_unheld(report)
        match report:
            case Stopping():
                held.close_stdin()
                held.begun = held.begun if held.leader_gone else report.reason
            case Exited():
                held.leader_gone = True
            case Ended():
                del self.table.held[report.attempt]
                held.close()
                if report.reason == "exit" and held.begun is not None:
                    report = msgspec.structs.replace(report, reason=held.begun)
            case _:
                pass
        try:
            await held.reports.send(report)
        except trio.BrokenResourceError:
            logger.warning("nobody waits for %s of attempt %s", type(report).__name__, report.attempt)

    async def _report_early(self) -> None:
        """What was kept for those that are taken up by now."""
        for attempt in [attempt for attempt in self.table.early if attempt in self.table.held]:
            for report in self.table.early.pop(attempt):
                await self._report(report)

    async def _report_of_unheld(self, report: Report) -> None:
        """Of an attempt that is not taken up yet, or had its end before. Else it is told twice: the last words of a
        lost keeper came through its status file."""
        left = self.table.resumption
        if left is None:
            return
        if any(each.id == report.attempt for each in left.open):
            self.table.early.setdefault(report.attempt, []).append(report)
        elif report.attempt in left.concluded:
            task, number, epoch = left.concluded[report.attempt]
            what, late = type(report).__name__.lower(), WorkerId(task)
            await self.outbox.send(
                Append(WorkerLate(at=self.now(), worker=late, attempt=number, epoch=epoch, what=what))
            )
            if isinstance(report, Ended):
                await self._send(Ask(Forget(attempt=report.attempt)))

    async def _take_over(self, nursery: trio.Nursery) -> None:
        """Give the workers of the lost keeper to this one, and ask again what it left without answer."""
        unanswered = self.table.begin()
        nursery.start_soon(self.strays.keep_reaping, self._not_stray)
        for held in list(self.table.held.values()):
            if (report := held.recall(self.now)) is not None:
                await self._report(report)
                continue
            await self._send(Ask(held.adopt()), held.fds)
            if held.exit is not None:  # known before the stop, which then is not its reason
                await self._send(Ask(held.exit))
            else:
                nursery.start_soon(self._reap, held)
            if (stop := held.remaining_stop()) is not None:
                await self._send(Ask(stop))
        await self._refuse_started()
        for number in unanswered:
            if (pending := self.table.pending.pop(number, None)) is None:
                continue
            if isinstance(pending.ask.request, Write | Interrupt | Signal):
                answer_to(pending.ask, Answer(error=KeeperError(_MAY_HAVE_ARRIVED)))
            else:
                await self._send(pending.ask)  # it is pending again before anything else happens

    async def _reap(self, held: Held) -> None:
        await self._send(Ask(await held.wait(self.now)))

    async def _refuse_started(self) -> None:
        """A command that the lost keeper started without telling is ended: its output went with the keeper."""
        asks = {number: each.ask for number, each in self.table.pending.items() if isinstance(each.ask, AskSpawn)}
        spawns = {number: ask.request for number, ask in asks.items() if isinstance(ask, AskSpawn)}
        started = {number: spawn.attempt for number, spawn in spawns.items() if may_have_started(spawn)}
        if started:
            await trio.to_thread.run_sync(end_marked, self.fleet, set(started.values()))
        for number in started:
            del self.table.pending[number]
            answer_to(asks[number], Answer(error=KeeperError("the keeper died while it started this command")))

    async def _end_strays(self) -> None:
        """What came to us from a lost keeper and belongs to no worker ends with the fleet."""
        for ended in await self.strays.end(self._not_stray()):
            pid, _, command = ended.partition(" ")
            await self.outbox.send(Append(ProcessUnattributed(at=self.now(), pid=int(pid), command=command)))

    def _not_stray(self) -> set[int]:
        return {self.link.pid, *(held.pid for held in self.table.held.values())}
