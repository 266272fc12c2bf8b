"""One connection to the event stream of an OpenCode server, from its opening until it ends or falls silent."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from actors.session_messages import Arrived, Connected, RouterInput
from protocols.errors import ServerError, ServerErrorKind
from protocols.opencode import Envelope
from protocols.opencode_envelope import is_copy, parse_envelope
from protocols.sse import SseParser, TooLong

__all__ = ["Connection", "End", "OpenStream"]

logger = logging.getLogger(__name__)

OpenStream: TypeAlias = Callable[[str | None], AbstractAsyncContextManager[AsyncIterator[bytes]]]
"""`actors.opencode_client.OpenCodeClient.stream`: of a directory, or of all."""

_NOT_PASSED_ON = frozenset({"server.connected", "server.heartbeat", "sync"})
"""Copies (``sync``) are under the ids of the events themselves."""
_STEPS = 25  # the deadline is moved at a 25th of the patience: to move it for each chunk costs more than to parse one


@dataclass(frozen=True, slots=True)
class End:
    why: str
    kind: ServerErrorKind | None
    """None: it ended as streams do, or it was silent."""
    connected: bool
    lasted: float
    disposed: bool
    """The server said that it would end it: it is to be opened again at once."""


@dataclass(slots=True, kw_only=True)
class Connection:
    open_stream: OpenStream
    directory: str | None
    outbox: trio.MemorySendChannel[RouterInput]
    boot: Callable[[], int]
    """Asked when the stream is there."""
    patience: float
    now: Callable[[], float]
    connected: bool = field(default=False, init=False)
    _disposed: bool = field(default=False, init=False)
    _broken: int = field(default=0, init=False)
    _parser: SseParser = field(default_factory=SseParser, init=False)

    async def run(self) -> End:
        """Pass on what comes, until the stream ends. `Connected` is said first; what follows the end is not said."""
        began = trio.current_time()
        why, kind = "the server ended the stream", None
        with trio.CancelScope(deadline=began + self.patience) as scope:
            try:
                await self._read(scope)
            except ServerError as exc:
                why, kind = str(exc), exc.kind
        if scope.cancelled_caught:
            why = f"not a byte came for {self.patience:g} s"
        return End(why, kind, self.connected, trio.current_time() - began, self._disposed)

    async def _read(self, scope: trio.CancelScope) -> None:
        moved = trio.current_time()
        async with self.open_stream(self.directory) as chunks:
            async for chunk in chunks:
                if (time := trio.current_time()) >= moved + self.patience / _STEPS:
                    moved, scope.deadline = time, time + self.patience
                arrived = self._understood(chunk)
                if arrived is not None:
                    await self._pass_on(arrived)

    async def _pass_on(self, arrived: Arrived) -> None:
        if not self.connected:
            self.connected = True
            await self.outbox.send(Connected(self.boot(), self.directory or ""))
        if arrived.events or arrived.broken:
            try:
                self.outbox.send_nowait(arrived)
            except trio.WouldBlock:
                await self.outbox.send(arrived)

    def _understood(self, chunk: bytes) -> Arrived | None:
        """None: no event came to its end."""
        found = self._parser.feed(chunk)
        if not found:
            return None
        at, directory = self.now(), self.directory or ""
        events: list[Envelope] = []
        before = self._broken
        for each in found:
            if isinstance(each, TooLong):
                self._note(ServerError(str(each), "too-big"))
                continue
            if is_copy(each.data):
                continue
            try:
                envelope = parse_envelope(each.data, at, directory)
            except ServerError as exc:
                self._note(exc)
                continue
            if envelope.type not in _NOT_PASSED_ON:
                events.append(envelope)
                self._disposed = self._disposed or envelope.type == "server.instance.disposed"
        return Arrived(events, self._broken - before)

    def _note(self, exc: ServerError) -> None:
        if not self._broken:
            logger.warning("%s; further ones of this connection are only counted", exc)
        self._broken += 1
