"""The traffic with one keeper, and what of it must survive that keeper."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import trio

from actors.adoption import Held, boottime, end_marked, final_report, reap_strays
from actors.keeper_link import KeeperLink
from actors.messages import Append
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk
from protocols.errors import KeeperError, SpawnError
from protocols.events import ProcessUnattributed
from protocols.ids import AttemptId, FleetId
from protocols.keeper import (
    MAX_MESSAGE,
    Adopt,
    Ended,
    Reply,
    Report,
    Shutdown,
    Spawned,
    Stop,
    Unattributed,
    encode_request,
)

__all__ = ["KeeperService", "Table"]

logger = logging.getLogger(__name__)

_REPLY_DEADLINE = 10.0
"""A keeper that leaves a request without reply for so long is stuck (stopped, or its disk hangs): it is replaced."""


@dataclass(slots=True)
class _Pending:
    ask: KeeperAsk
    asked_at: float
    """On trio's clock."""


@dataclass(slots=True)
class Table:
    """What outlives a keeper: running attempts and unanswered requests."""

    held: dict[AttemptId, Held] = field(default_factory=dict)
    pending: dict[int, _Pending] = field(default_factory=dict)
    last_id: int = 1
    finished: bool = False
    """`Shutdown` was answered: the keeper's end is no loss."""

    def unanswered(self) -> list[KeeperAsk]:
        asks = [pending.ask for pending in self.pending.values() if not isinstance(pending.ask.request, Adopt)]
        self.pending.clear()
        return asks

    def close(self) -> None:
        for held in self.held.values():
            held.close()


@dataclass(slots=True, kw_only=True)
class KeeperService:
    """One connection. Not to be used again after `run`."""

    link: KeeperLink
    fleet: FleetId
    table: Table
    outbox: trio.MemorySendChannel[Append]
    now: Callable[[], float]
    lost: str = ""

    async def run(self, asks: trio.MemoryReceiveChannel[KeeperAsk], *, resumed: bool) -> str:
        """Serve until nobody asks any more. Return why the keeper is lost, empty when it is not."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_messages, nursery.cancel_scope)
            nursery.start_soon(self._watch, nursery.cancel_scope)
            if resumed:
                await self._take_over(nursery)
            async for ask in asks:
                await self._send(ask)
            nursery.cancel_scope.cancel(reason="nobody commands the keeper any more")
        return self.lost

    async def _pass_messages(self, scope: trio.CancelScope) -> None:
        while (received := await self.link.receive()) is not None:
            message, fds = received
            match message:
                case Reply():
                    self._reply(message, fds)
                case Unattributed():
                    event = ProcessUnattributed(at=self.now(), pid=message.pid, command=message.command)
                    await self.outbox.send(Append(event))
                case _:
                    await self._report(message)
        if not self.table.finished:
            self._lose("it ended unexpectedly", scope)

    async def _watch(self, scope: trio.CancelScope) -> None:
        """Notice a keeper that lives and does not answer."""
        while True:
            await trio.sleep(_REPLY_DEADLINE / 10)
            late = trio.current_time() - _REPLY_DEADLINE
            if any(pending.asked_at < late for pending in self.table.pending.values()):
                await trio.sleep(1.0)  # were we the ones who slept? its replies are then here already
                if any(pending.asked_at < late for pending in self.table.pending.values()):
                    return self._lose(f"no answer within {_REPLY_DEADLINE:g} s", scope)

    def _lose(self, reason: str, scope: trio.CancelScope) -> None:
        self.lost = reason
        scope.cancel(reason=f"keeper lost: {reason}")

    async def _send(self, ask: KeeperAsk, fds: tuple[int, ...] = ()) -> None:
        request = ask.request
        if ask.answer is not None or isinstance(request, Adopt):
            self.table.last_id += 1
            request = msgspec.structs.replace(request, id=self.table.last_id)
            self.table.pending[request.id] = _Pending(ask, trio.current_time())
        if isinstance(request, Stop) and request.attempt in self.table.held:
            self.table.held[request.attempt].stopping(request)
        data = encode_request(request)
        if len(data) > MAX_MESSAGE:
            self.table.pending.pop(request.id, None)
            return _answer(ask, Answer(error=SpawnError("arguments and environment are too large together", "E2BIG")))
        try:
            await self.link.send(data, fds)
        except OSError:
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
            return _answer(ask, Answer(error=SpawnError(refusal.message, refusal.code)))
        if isinstance(ask, AskSpawn):
            self._hold(ask, msgspec.json.decode(reply.ok, type=Spawned), fds)
        self.table.finished = self.table.finished or isinstance(ask.request, Shutdown)
        return _answer(ask, Answer(bytes(reply.ok)))

    def _hold(self, ask: AskSpawn, spawned: Spawned, fds: tuple[int, ...]) -> None:
        timeout = ask.request.timeout
        self.table.held[ask.request.attempt] = Held(
            spawn=ask.request,
            reports=ask.reports,
            pid=spawned.pid,
            start_ticks=spawned.start_ticks,
            fds=fds,
            not_after=None if timeout is None else boottime() + timeout,
        )

    async def _report(self, report: Report) -> None:
        held = self.table.held.get(report.attempt)
        if held is None:
            return  # told twice: the old keeper's last words came through its status file
        if isinstance(report, Ended):
            del self.table.held[report.attempt]
            held.close()
        try:
            await held.reports.send(report)
        except trio.BrokenResourceError:
            logger.warning("nobody waits for %s of attempt %s", type(report).__name__, report.attempt)

    async def _take_over(self, nursery: trio.Nursery) -> None:
        """Give the workers of the lost keeper to this one, and ask again what it left without answer."""
        unanswered = self.table.unanswered()
        for held in list(self.table.held.values()):
            if (report := final_report(held)) is not None:
                await self._report(report)
                continue
            await self._send(Ask(held.adopt()), held.fds)
            if (stop := held.remaining_stop()) is not None:
                await self._send(Ask(stop))
            nursery.start_soon(self._reap, held)
        nursery.start_soon(reap_strays, self.link.pid, self._leaders)
        for ask in await self._without_started(unanswered):
            await self._send(ask)

    async def _reap(self, held: Held) -> None:
        await self._send(Ask(await held.wait(self.now)))

    def _leaders(self) -> Iterable[int]:
        return [held.pid for held in self.table.held.values()]

    async def _without_started(self, asks: list[KeeperAsk]) -> list[KeeperAsk]:
        """A command that the lost keeper started without telling is ended: its output went with the keeper."""
        spawns = {ask.request.attempt for ask in asks if isinstance(ask, AskSpawn)}
        ran = await trio.to_thread.run_sync(end_marked, self.fleet, spawns) if spawns else set()
        rest: list[KeeperAsk] = []
        for ask in asks:
            if isinstance(ask, AskSpawn) and ask.request.attempt in ran:
                _answer(
                    ask, Answer(error=KeeperError("the keeper died in the moment in which it started this command"))
                )
            else:
                rest.append(ask)
        return rest


def _answer(ask: KeeperAsk, answer: Answer) -> None:
    if ask.answer is None:
        return
    try:
        ask.answer.send_nowait(answer)
    except trio.BrokenResourceError:
        logger.warning("nobody waits for the answer to %s", type(ask.request).__name__)
