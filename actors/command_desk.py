"""Where everything that acts on the fleet is asked for: each call is recorded with who, what and answer, and is done
once for each key."""

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
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
from protocols.errors import FleetError
from protocols.event_codec import escape_json
from protocols.events import Record
from protocols.jsonrpc import FORBIDDEN, INTERNAL_ERROR, REFUSED, CallError
from protocols.peer import Peer
from protocols.port_methods import METHODS, Method
from protocols.port_view import ROOT
from protocols.task_events import TasksSubmitted
from protocols.wording import quote

__all__ = ["CommandDesk"]

logger = logging.getLogger(__name__)

_KEYS = 10_000  # that are remembered, the latest
_TEXT = 500  # characters of parameters that are recorded
_UNTOLD = frozenset({"key", "data", "plan", "env"})  # what is long, or is not for every reader of the journal
_SHUTDOWN = "system.shutdown"
_UNKNOWN = (
    "the supervisor ended before it could answer, and nobody knows whether it was done; look, and ask with another key"
)


@dataclass(slots=True, eq=False)
class _Call:
    """One that was asked for. Its answer, once ``done`` is set."""

    asked: CallAsked
    answer: Done | CallError | None = None
    done: trio.Event = field(default_factory=trio.Event)


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
        if self._nursery is None:  # the port is being closed: who comes back is answered by the next supervisor
            await trio.sleep_forever()
        key = params.key if peer.may(method.need) else None  # what one may not do is no answer for one who may
        call = self._find(key, method, params)
        if call is None:
            call = self._begin(key, method, params, peer)
            self._nursery.start_soon(self._carry_out, call, method, params, peer)
        await call.done.wait()
        if isinstance(call.answer, Done):
            return call.answer
        error = call.answer or CallError(INTERNAL_ERROR, "no answer")
        raise CallError(error.code, str(error))

    def _find(self, key: str | None, method: Method, params: Any) -> _Call | None:
        """The one that was asked for with this key. Raise `CallError` where that was another one."""
        if key is None or (call := self._keys.get(key)) is None:
            return None
        if (call.asked.method, call.asked.digest) != (method.name, _digest(params)):
            raise CallError(REFUSED, f"key {quote(key)}: it was used for another call; each call has its own")
        return call

    def _begin(self, key: str | None, method: Method, params: Any, peer: Peer) -> _Call:
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
            key=key or "",
            digest=_digest(params) if key else "",
        )
        call = _Call(asked)
        if key is not None:
            self._keep(key, call)
        return call

    async def _carry_out(self, call: _Call, method: Method, params: Any, peer: Peer) -> None:
        try:
            await self._record(call.asked, wait=bool(call.asked.key))
            call.answer = await self._do(method, params, peer)
            await self._record(_answered(call.asked, call.answer, self.now()), wait=True)
        finally:
            if call.answer is None and method.name == _SHUTDOWN:
                call.answer = Done()  # it is what was asked for
            if call.answer is not None:  # else the fleet, or this supervisor of it, ends, and so do all connections
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
        except (FleetError, OSError, msgspec.DecodeError) as error:  # of a disk, say; other calls go on
            logger.exception("%s of %s", method.name, peer.who)
            return CallError(INTERNAL_ERROR, f"{method.name}: {error}")

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
        return list(read_records(self.journal, types=("call.asked", "call.answered", "tasks.submitted")))

    def _remember(self, records: list[Record]) -> None:
        """What an earlier supervisor was asked."""
        calls, open_calls = list[_Call](), dict[int, _Call]()
        submitted = dict[str, Done]()
        for seq, event in ((record.seq, record.event) for record in records):
            match event:
                case CallAsked():
                    self._number = event.number
                    calls.append(_Call(event))
                    open_calls[event.number] = calls[-1]
                case CallAnswered() if event.number in open_calls:
                    open_calls.pop(event.number).answer = _answer(event)
                case TasksSubmitted():
                    submitted[event.key] = Done(task=event.tasks[0], seq=seq)
                case _:
                    pass
        for call in calls:
            call.answer = call.answer or submitted.get(call.asked.key) or _unanswered(call.asked)
            call.done.set()
            if call.asked.key and call.answer is not None:
                self._keep(call.asked.key, call)


def _unanswered(asked: CallAsked) -> CallError | None:
    """What is answered to who comes again with a key that an earlier supervisor had and did not answer. None: it is
    done as if it had never been asked for."""
    method = METHODS.get(asked.method)
    return None if method is not None and method.repeatable else CallError(REFUSED, f"{asked.method}: {_UNKNOWN}")


def _answered(asked: CallAsked, answer: Done | CallError, at: float) -> CallAnswered:
    event = CallAnswered(at=at, number=asked.number, method=asked.method, who=asked.who)
    if isinstance(answer, Done):
        how_far = {"command": answer.command, "state": answer.state}
        return msgspec.structs.replace(event, task=answer.task, attempt=answer.attempt, upto=answer.seq, **how_far)
    return msgspec.structs.replace(event, task=asked.about, code=answer.code, error=str(answer))


def _answer(answered: CallAnswered) -> Done | CallError:
    if answered.code:
        return CallError(answered.code, answered.error)
    return Done(
        task=answered.task,
        attempt=answered.attempt,
        command=answered.command,
        state=answered.state,
        seq=answered.upto,
    )


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
