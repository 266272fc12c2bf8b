"""The file ``session-events.json`` of an attempt: one JSON object, whole after each write, whoever is killed when.

``{"format": 1, "events": [ENTRY, …]}``, an entry on each line (`protocols.session_entries`). A write goes over the end
of the object and brings a new one.
"""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from protocols.session_entries import Entry

__all__ = ["SessionLog"]

logger = logging.getLogger(__name__)

_HEAD = b'{"format":1,"events":['
_TAIL = b"\n]}\n"
_MOST_WAITING = 8 * 1024 * 1024  # of a disk that takes no more; the session goes on all the same


class _Log(msgspec.Struct):
    events: list[Entry]


_decoder: msgspec.json.Decoder[_Log] = msgspec.json.Decoder(_Log)
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class SessionLog:
    """Made by `SessionLog.open`. Entries wait in memory until `flush`."""

    fd: int
    size: int
    """Up to the end of the last entry."""
    lost: int = 0
    """Entries that the disk did not take."""
    _waiting: list[bytes] = field(default_factory=list)
    _bytes: int = 0

    @classmethod
    def open(cls, path: Path) -> tuple["SessionLog", list[Entry]]:
        """The log, and what it holds from before. Raise OSError; what is no log of ours is begun anew."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            data = _read(fd)
            entries, size = _decode(data)
            if not size:
                size = len(_HEAD)
                os.pwrite(fd, _HEAD + _TAIL, 0)
            os.ftruncate(fd, size)
            os.pwrite(fd, _TAIL, size)
        except OSError:
            os.close(fd)
            raise
        return cls(fd, size), entries

    def add(self, entry: Entry) -> None:
        """It is on disk after the next `flush`."""
        text = _encoder.encode(entry)
        if self._bytes + len(text) > _MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append(text)
        self._bytes += len(text)

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def flush(self) -> bool:
        """Write what waits; False where the disk did not take it, and it waits on. What was there stays whole."""
        if not self._waiting:
            return True
        between = b",\n" if self.size > len(_HEAD) else b"\n"
        data = between + b",\n".join(self._waiting)
        try:
            _write(self.fd, data + _TAIL, self.size)
        except OSError:
            _write_tail(self.fd, self.size)
            return False
        self.size += len(data)
        self._waiting.clear()
        self._bytes = 0
        return True

    def close(self) -> None:
        if not self.flush():
            self.lost += len(self._waiting)
        if self.lost:
            logger.warning("the disk did not take %s entries of the log of a session", self.lost)
        os.close(self.fd)


def _read(fd: int) -> bytes:
    pieces = []
    offset = 0
    while piece := os.pread(fd, 1 << 20, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def _decode(data: bytes) -> tuple[list[Entry], int]:
    """The entries, and where the last one ends; 0 for what is no log. A torn write costs what it was about to add."""
    end = len(data) - len(_TAIL) if data.endswith(_TAIL) else len(data)
    while end > len(_HEAD):
        try:
            found = _decoder.decode(data[:end] + _TAIL).events
            return found, end if found else len(_HEAD)
        except msgspec.MsgspecError:
            end = data.rfind(b"\n", 0, end)
            if end > 0 and data[end - 1 : end] == b",":
                end -= 1
    return [], len(_HEAD) if data.startswith(_HEAD) else 0


def _write(fd: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        count = os.pwrite(fd, rest, offset)
        rest, offset = rest[count:], offset + count


def _write_tail(fd: int, size: int) -> None:
    """Over what is there already, so that a full disk takes it."""
    try:
        os.ftruncate(fd, size + len(_TAIL))
        os.pwrite(fd, _TAIL, size)
    except OSError:
        return  # the next reader cuts it back
