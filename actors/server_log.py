"""``server-events.jsonl``: what a server said about nobody's session. Bounded; a slow disk holds up nobody."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from actors.batches import receive_batch
from protocols.opencode import Envelope

__all__ = ["ServerLog"]

logger = logging.getLogger(__name__)

_MOST = 16 * 1024 * 1024
_PENDING = 256


@dataclass(slots=True, kw_only=True)
class ServerLog:
    """One JSON object for each event: when it came, its directory, and the event itself. At most ``most`` bytes."""

    path: Path
    limiter: trio.CapacityLimiter
    most: int = _MOST

    _outbox: trio.MemorySendChannel[bytes] = field(init=False)
    _inbox: trio.MemoryReceiveChannel[bytes] = field(init=False)
    _room: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self._outbox, self._inbox = trio.open_memory_channel[bytes](_PENDING)

    def put(self, event: Envelope) -> bool:
        """False: it is not logged, because the log is full, or the disk too slow."""
        if not self._room:
            return False
        line = _line(event)
        try:
            self._outbox.send_nowait(line)
        except trio.WouldBlock:
            return False
        return True

    async def run(self) -> None:
        """Write until cancelled."""
        while lines := await receive_batch(self._inbox, _PENDING):
            try:
                size = await trio.to_thread.run_sync(_append, self.path, lines, self.most, limiter=self.limiter)
            except OSError as exc:
                logger.warning("%s: %s; events of unknown sessions are not logged any more", self.path, exc)
                self._room = False
                continue
            self._room = size < self.most


def _append(path: Path, lines: Sequence[bytes], most: int) -> int:
    """The size of the file afterwards, or that which it would have."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "ab") as file:
        size = os.fstat(fd).st_size
        for line in lines:
            size += len(line)
            if size > most:
                break
            file.write(line)
    return size


def _line(event: Envelope) -> bytes:
    """JSON has line ends only between its tokens."""
    text = event.payload.replace(b"\r", b" ").replace(b"\n", b" ")
    told = {"at": event.at, "directory": event.directory, "event": msgspec.Raw(text)}
    return msgspec.json.encode(told) + b"\n"
