"""A server of event streams that does what a test says: no socket, so that ten minutes pass in no time."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
import trio

from protocols.errors import ServerError

__all__ = ["CONNECTED", "HEARTBEAT", "ScriptedStreams", "Step", "event"]

Step: TypeAlias = bytes | float | ServerError
"""Bytes that come, seconds of silence, or how it breaks."""


def event(kind: str, number: int = 0, *, directory: str = "/d", **properties: object) -> bytes:
    """One event of ``/global/event``."""
    payload = {"id": f"evt_{number}", "type": kind, "properties": properties}
    return b"data: " + msgspec.json.encode({"directory": directory, "payload": payload}) + b"\n\n"


CONNECTED = b'data: {"payload":{"id":"evt_c","type":"server.connected","properties":{}}}\n\n'
HEARTBEAT = b'data: {"payload":{"type":"server.heartbeat","properties":{}}}\n\n'


@dataclass
class ScriptedStreams:
    """Each connection takes the next script; after the last one nobody listens."""

    scripts: Sequence[Sequence[Step]] = ()
    refuse: Callable[[str | None], ServerError | None] = lambda directory: None
    by_directory: dict[str, Sequence[Step]] = field(default_factory=dict)
    opened: list[tuple[float, str | None]] = field(default_factory=list)
    """When, and which."""

    def open(self, directory: str | None) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        self.opened.append((trio.current_time(), directory))
        number = sum(each is None for _, each in self.opened) - 1
        error = self.refuse(directory)
        script: Sequence[Step] = [error] if error is not None else self._script(directory, number)
        return self._stream(script)

    def _script(self, directory: str | None, number: int) -> Sequence[Step]:
        if directory is not None:
            return self.by_directory[directory]
        gone = ServerError("nobody listens", "unreachable")
        return self.scripts[number] if number < len(self.scripts) else [gone]

    @asynccontextmanager
    async def _stream(self, script: Sequence[Step]) -> AsyncIterator[AsyncIterator[bytes]]:
        if script and isinstance(script[0], ServerError):
            raise script[0]
        chunks = _play(script)
        try:
            yield chunks
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]


async def _play(script: Sequence[Step]) -> AsyncIterator[bytes]:
    for step in script:
        match step:
            case bytes():
                await trio.lowlevel.checkpoint()
                yield step
            case float():
                await trio.sleep(step)
            case ServerError():
                raise step
