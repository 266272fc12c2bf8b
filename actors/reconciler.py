"""Asks an OpenCode server how its sessions are: what a stream missed is found so, and what it never said."""

import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import msgspec
import trio

from actors.session_messages import Look, RouterInput
from protocols.backoff import delay
from protocols.errors import ServerError, ServerErrorKind
from protocols.opencode import Snapshot

__all__ = ["Questions", "Reconciler"]

logger = logging.getLogger(__name__)

_AT_ONCE = 4  # one thread of the server answers all of it
_TRIES = 4
_TRIES_OF_ONE = 3  # of a question whose connection was cut: a look is dozens of them, and one that fails spoils it
_FIRST_PAUSE = 0.5
_MESSAGES = 100
_DEPTH = 5
_NONE = b"[]"
_SLOW: frozenset[ServerErrorKind] = frozenset(("late", "unreachable"))
"""The next question would wait as long: others come first next time."""
_FAILURES = (ServerError, msgspec.MsgspecError, UnicodeDecodeError)
_MOST_REMEMBERED = 4096


class Questions(Protocol):
    """What is asked of `actors.opencode_client.OpenCodeClient`."""

    async def session_status(self, directory: str) -> bytes: ...
    async def permissions(self, directory: str = "") -> bytes: ...
    async def questions(self, directory: str = "") -> bytes: ...
    async def messages(self, session: str, limit: int = 0) -> bytes: ...
    async def children(self, session: str) -> bytes: ...
    async def todos(self, session: str) -> bytes: ...


class _Time(msgspec.Struct):
    updated: float = 0.0


class _Child(msgspec.Struct):
    id: str
    time: _Time = msgspec.field(default_factory=_Time)


class _Waiting(msgspec.Struct):
    sessionID: str = ""  # noqa: N815 - the server's name


_statuses: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_children: msgspec.json.Decoder[list[_Child]] = msgspec.json.Decoder(list[_Child])
_list: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_waiting: msgspec.json.Decoder[_Waiting] = msgspec.json.Decoder(_Waiting)


@dataclass(frozen=True, slots=True)
class _Session:
    """What was asked about one, before it is put together with what was asked about all."""

    id: str
    known: bool
    messages: bytes = _NONE
    children: bytes = _NONE
    todos: bytes = _NONE
    family: tuple[str, ...] = ()
    """Itself and all below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Answer each `Look` with a `Snapshot` of each of its sessions and their children, as soon as the server does.

    A session comes before its children. What cannot be asked is tried again a few times, and left to the next look.
    """

    inbox: trio.MemoryReceiveChannel[Look]
    outbox: trio.MemorySendChannel[RouterInput]
    client: Questions
    now: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    _looked: dict[str, float] = field(default_factory=dict, init=False)
    """Children that were idle: when they had changed last, by the server's clock."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask until the last sender is gone."""
        slots = trio.Semaphore(_AT_ONCE)
        async with self.outbox.clone() as outbox, trio.open_nursery() as nursery:
            task_status.started()
            await slots.acquire()
            async for look in self.inbox:
                nursery.start_soon(self._answer, look, outbox, slots)
                await slots.acquire()
            nursery.cancel_scope.cancel(reason="nobody asks any more")

    async def _answer(self, look: Look, outbox: trio.MemorySendChannel[RouterInput], slots: trio.Semaphore) -> None:
        try:
            for attempt in range(1, _TRIES + 1):
                snapshots, failed = await self._try(look)
                for snapshot in snapshots:
                    await outbox.send(snapshot)
                if not failed:
                    return
                look = replace(look, sessions=failed)
                await trio.sleep(delay(attempt, _FIRST_PAUSE, random=self.random))
            logger.warning("%s sessions of %s could not be looked at", len(look.sessions), look.directory)
        finally:
            slots.release()

    async def _try(self, look: Look) -> tuple[list[Snapshot], tuple[str, ...]]:
        """And the sessions that could not be looked at, which hold up no other."""
        failed: list[str] = []
        try:
            return await self._look(look, failed), tuple(failed)
        except _FAILURES as exc:
            logger.info("%s: %s", look.directory, exc)
            return [], look.sessions

    async def _look(self, look: Look, failed: list[str], *, again: bool = True) -> list[Snapshot]:
        """The state is asked before the messages and after them: what is busy in one of them may not be over. What
        became idle in between is looked at ``again``: nobody may tell of its end. Sessions that cannot be asked about
        are added to ``failed``."""
        at = self.now()
        before = _statuses.decode(await _insist(partial(self.client.session_status, look.directory)))
        sessions: list[_Session] = []
        for number, session in enumerate(look.sessions):
            try:
                sessions += await self._family(session, before, look.thorough)
            except _FAILURES as exc:
                logger.info("%s: %s", session, exc)
                self._looked.clear()
                if isinstance(exc, ServerError) and exc.kind in _SLOW:
                    failed += [*look.sessions[number + 1 :], session]
                    break
                failed.append(session)
        permissions = _by_session(await _insist(partial(self.client.permissions, look.directory)))
        questions = _by_session(await _insist(partial(self.client.questions, look.directory)))
        after = _statuses.decode(await _insist(partial(self.client.session_status, look.directory)))
        if again and any(each.id in before and each.id not in after for each in sessions):
            failed.clear()
            return await self._look(look, failed, again=False)
        status = {**before, **after}
        return [
            Snapshot(
                session=each.id,
                at=at,
                known=each.known,
                status=bytes(status.get(each.id, b"")),
                messages=each.messages,
                children=each.children,
                permissions=_of(each.family, permissions),
                questions=_of(each.family, questions),
                todos=each.todos,
            )
            for each in sessions
        ]

    async def _family(
        self, session: str, status: dict[str, msgspec.Raw], thorough: bool, depth: int = _DEPTH
    ) -> list[_Session]:
        """It, then those below it. A child that is idle and unchanged is only looked at where ``thorough``."""
        try:
            messages = await self._messages(session)
            children = await _insist(partial(self.client.children, session))
            todos = await _insist(partial(self.client.todos, session))
        except ServerError as exc:
            if exc.kind != "not-found":
                raise
            return [_Session(session, known=False, family=(session,))]
        below: list[_Session] = []
        known = [session]
        for child in _children.decode(children):
            known.append(child.id)
            if depth and (thorough or child.id in status or self._looked.get(child.id) != child.time.updated):
                below += await self._family(child.id, status, thorough, depth - 1)
            if child.id not in status:
                self._remember(child)
        family = tuple(dict.fromkeys([*known, *(name for each in below for name in each.family)]))
        return [_Session(session, True, messages, children, todos, family), *below]

    async def _messages(self, session: str) -> bytes:
        """The last ones, as many as may be."""
        limit = _MESSAGES
        while True:
            try:
                return await _insist(partial(self.client.messages, session, limit))
            except ServerError as exc:
                if exc.kind != "too-big" or limit == 1:
                    raise
                limit //= 4

    def _remember(self, child: _Child) -> None:
        if len(self._looked) >= _MOST_REMEMBERED:
            self._looked.clear()
        self._looked[child.id] = child.time.updated


async def _insist(ask: Callable[[], Awaitable[bytes]]) -> bytes:
    for _ in range(_TRIES_OF_ONE - 1):
        try:
            return await ask()
        except ServerError as exc:
            if exc.kind != "broken":
                raise
    return await ask()


def _by_session(answer: bytes) -> dict[str, list[msgspec.Raw]]:
    found: dict[str, list[msgspec.Raw]] = {}
    for each in _list.decode(answer):
        found.setdefault(_waiting.decode(each).sessionID, []).append(each)
    return found


def _of(family: Sequence[str], waiting: dict[str, list[msgspec.Raw]]) -> bytes:
    return msgspec.json.encode([each for session in family for each in waiting.get(session, ())])
