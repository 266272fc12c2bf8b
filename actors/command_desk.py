"""Where everything that acts on the fleet is asked for: each call is recorded with who, what and answer, and is done
once for each key."""

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.commander import Commander, RefusedError
from actors.journal_file import read_records
from actors.messages import Append
from protocols.call_events import CallAnswered, CallAsked, CallRecord
from protocols.commands import Done
from protocols.event_codec import escape_json
from protocols.events import Record, RunResumed
from protocols.jsonrpc import FORBIDDEN, INTERNAL_ERROR, REFUSED, CallError
from protocols.peer import Peer
from protocols.port_methods import Method
from protocols.port_view import ROOT
from protocols.task_events import TasksSubmitted
from protocols.wording import quote

__all__ = ["CommandDesk"]

logger = logging.getLogger(__name__)

_KEYS = 10_000  # that are remembered, the latest
_TEXT = 500  # characters of parameters that are recorded
_UNTOLD = frozenset({"key", "data", "plan", "env"})  # what is long, or is not for every reader of the journal
_MAKES = frozenset({"worker.spawn", "run.submit", "instance.spawn"})
"""They make a task: it is there, and told, or it is not."""
_ENDS = frozenset({"worker.stop", "worker.kill", "task.cancel"})
"""To do them twice does no more than once."""
_SHUTDOWN = "system.shutdown"
_ENDING = "the fleet is ending and takes no more commands"
_UNKNOWN = (
    "the supervisor ended before it could answer, and nobody knows whether it was done; look, and ask with another key"
)


@dataclass(slots=True, eq=False)
class _Call:
    """One that was asked for. Its answer, once ``done`` is set."""

    asked: CallAsked
    answer: Done | CallError | None = None
    done: trio.Event = field(default_factory=trio.Event)
    claimed: bool = False
    """A task is there that it may have made."""

    @property
    def undone(self) -> bool:
        """It was not answered, and of its effect nothing is told: it had none, or has no other one the next time."""
        return self.asked.method in _ENDS or (
            self.asked.method in _MAKES and bool(self.asked.about) and not self.claimed
        )


@dataclass(slots=True, kw_only=True)
class CommandDesk:
    """`act` is answered while `run` runs. What was begun is brought to its end, whoever waits for it."""

    commander: Commander
    journal: Path
    outbox: trio.MemorySendChannel[Append]
    now: Callable[[], float] = time.time
    _keys: OrderedDict[str, _Call] = field(default_factory=OrderedDict, init=False)
    _number: int = field(default=0, init=False)
    _nursery: trio.Nursery | None = field(default=None, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Raise `JournalError`."""
        if not self._number:
            self._remember(await trio.to_thread.run_sync(self._read))
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def act(self, method: Method, params: Any, peer: Peer) -> Done:
        """Return when the effect is in the journal. Raise `CallError`."""
        if self._nursery is None:
            raise CallError(REFUSED, _ENDING)
        call = self._find(method, params)
        if call is None:
            call = self._begin(method, params, peer)
            self._nursery.start_soon(self._carry_out, call, method, params, peer)
        await call.done.wait()
        if isinstance(call.answer, Done):
            return call.answer
        error = call.answer or CallError(INTERNAL_ERROR, "no answer")
        raise CallError(error.code, str(error))

    def _find(self, method: Method, params: Any) -> _Call | None:
        """The one that was asked for with this key. Raise `CallError` where that was another one."""
        if params.key is None or (call := self._keys.get(params.key)) is None:
            return None
        if (call.asked.method, call.asked.digest) != (method.name, _digest(params)):
            raise CallError(REFUSED, f"key {quote(params.key)}: it was used for another call; each call has its own")
        return call

    def _begin(self, method: Method, params: Any, peer: Peer) -> _Call:
        self._number += 1
        asked = CallAsked(
            at=self.now(),
            number=self._number,
            method=method.name,
            who=peer.who,
            address=peer.address,
            pid=peer.pid,
            about=_about(params),
            text=_text(params),
            key=params.key or "",
            digest=_digest(params) if params.key else "",
        )
        call = _Call(asked)
        if params.key is not None:
            self._keep(params.key, call)
        return call

    async def _carry_out(self, call: _Call, method: Method, params: Any, peer: Peer) -> None:
        try:
            await self._record(call.asked, wait=bool(call.asked.key))
            call.answer = await self._do(method, params, peer)
            await self._record(_answered(call.asked, call.answer, self.now()), wait=True)
        finally:
            ended = method.name == _SHUTDOWN  # then this is what was asked for
            call.answer = call.answer or (Done() if ended else CallError(REFUSED, f"{method.name}: {_UNKNOWN}"))
            call.done.set()

    async def _do(self, method: Method, params: Any, peer: Peer) -> Done | CallError:
        if method.command is None or not peer.may(method.need):
            return CallError(FORBIDDEN, f"{method.name}: it takes the scope {method.need}; this is {peer.scope}")
        if method.names != "task" and getattr(params, method.names) == ROOT:
            return CallError(REFUSED, f"{method.name}: that is the fleet itself; system.shutdown ends it")
        try:
            return await self.commander.carry_out(method.command(params), pid=peer.pid)
        except RefusedError as error:
            return CallError(REFUSED, str(error))

    async def _record(self, event: CallRecord, *, wait: bool) -> None:
        committed = trio.Event() if wait else None
        try:
            await self.outbox.send(Append(event, committed))
        except (trio.BrokenResourceError, trio.ClosedResourceError):  # the end that it asked for has come
            logger.warning("not recorded any more: %s", event)
        else:
            if committed is not None:
                await committed.wait()

    def _keep(self, key: str, call: _Call) -> None:
        self._keys[key] = call
        while len(self._keys) > _KEYS:
            self._keys.popitem(last=False)

    def _read(self) -> list[Record]:
        if not self.journal.exists():
            return []
        return list(read_records(self.journal, types=("call.asked", "call.answered", "tasks.submitted", "run.resumed")))

    def _remember(self, records: list[Record]) -> None:
        """What earlier supervisors were asked. Where one has not answered, the journal may tell whether it was done."""
        pending = dict[int, _Call]()
        for record in records:
            match record.event:
                case CallAsked() as asked:
                    self._number = asked.number
                    pending[asked.number] = call = _Call(asked, CallError(REFUSED, f"{asked.method}: {_UNKNOWN}"))
                    call.done.set()
                    if asked.key:
                        self._keep(asked.key, call)
                case CallAnswered() as answered if answered.number in pending:
                    pending.pop(answered.number).answer = _answer(answered)
                case TasksSubmitted() as made:
                    _claim(pending.values(), made.tasks, record.seq)
                case RunResumed():
                    self._forget_undone(pending)
                case _:
                    pass
        self._forget_undone(pending)

    def _forget_undone(self, pending: dict[int, _Call]) -> None:
        """Who asks for what was not done asks as for the first time. Of the rest nobody knows."""
        for call in pending.values():
            if call.undone and self._keys.get(call.asked.key) is call:
                del self._keys[call.asked.key]
        pending.clear()


def _claim(pending: Iterable[_Call], tasks: Collection[str], seq: int) -> None:
    """These tasks are there; of several that asked for the same one nobody knows whose it is."""
    found = [call for call in pending if call.asked.method in _MAKES and call.asked.about in tasks]
    for call in found:
        call.claimed = True
        if sum(other.asked.about == call.asked.about for other in found) == 1:
            call.answer = Done(task=call.asked.about, seq=seq)


def _answered(asked: CallAsked, answer: Done | CallError, at: float) -> CallAnswered:
    event = CallAnswered(at=at, number=asked.number, method=asked.method, who=asked.who)
    if isinstance(answer, Done):
        return msgspec.structs.replace(event, task=answer.task, attempt=answer.attempt, upto=answer.seq)
    return msgspec.structs.replace(event, task=asked.about, code=answer.code, error=str(answer))


def _answer(answered: CallAnswered) -> Done | CallError:
    if answered.code:
        return CallError(answered.code, answered.error)
    return Done(task=answered.task, attempt=answered.attempt, seq=answered.upto)


def _about(params: Any) -> str:
    task = getattr(params, "task", None)
    if isinstance(task, dict):
        return str(task.get("id", ""))
    named = (getattr(params, name, None) for name in ("task", "run", "instance", "id"))
    return next((each for each in named if isinstance(each, str)), "")


def _text(params: Any) -> str:
    shown = {name: value for name, value in msgspec.structs.asdict(params).items() if name not in _UNTOLD}
    if isinstance(task := shown.get("task"), dict):
        shown["task"] = {name: value for name, value in task.items() if name not in _UNTOLD}
    text = escape_json(msgspec.json.encode({name: each for name, each in shown.items() if each is not None})).decode()
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _digest(params: Any) -> str:
    said = msgspec.structs.asdict(params)
    said.pop("key")
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:32]
