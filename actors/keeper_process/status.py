"""The status file of one attempt: what a later supervisor reads when nobody is left to tell."""

import json
import os
from typing import NamedTuple

__all__ = ["STATUS_SIZE", "Status", "StatusFile", "read_status"]

STATUS_SIZE = 512  # less than a page, and allocated before the start: a full disk cannot hide an exit


class Status(NamedTuple):
    """What is known of one attempt. The fields after ``boot_id`` are None until they are known."""

    state: str
    """``starting``, ``running``, ``exited`` (the leader is gone) or ``ended`` (all of it is)."""
    attempt: str
    pid: int
    start_ticks: int
    boot_id: str
    code: int | None = None
    signal: str | None = None
    exited_at: float | None = None
    stdout_bytes: int | None = None
    stderr_bytes: int | None = None
    reason: str | None = None
    terminal_bytes: int | None = None
    started_at: float | None = None


_TYPES: dict[str, tuple[type, ...]] = {
    "state": (str,),
    "attempt": (str,),
    "pid": (int,),
    "start_ticks": (int,),
    "boot_id": (str,),
    "code": (int, type(None)),
    "signal": (str, type(None)),
    "exited_at": (float, int, type(None)),
    "stdout_bytes": (int, type(None)),
    "stderr_bytes": (int, type(None)),
    "reason": (str, type(None)),
    "terminal_bytes": (int, type(None)),
    "started_at": (float, int, type(None)),
}
_STATES = frozenset({"starting", "running", "exited", "ended"})


class StatusFile:
    """An open status file. Each write replaces all of it in one system call."""

    def __init__(self, path: bytes) -> None:
        """Make the file and allocate it. Raise ``OSError``, above all ``ENOSPC``; no new file is then left."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(fd, 0, STATUS_SIZE)
        except OSError:
            new = os.fstat(fd).st_size == 0
            os.close(fd)
            if new:
                os.unlink(path)  # noqa: PTH108 - a path of bytes
            raise
        self._fd = fd

    def write(self, status: Status) -> None:
        """Raise ``OSError`` where the disk fails; the old content then stays."""
        os.pwrite(self._fd, _encode(status), 0)

    def close(self) -> None:
        os.close(self._fd)


def read_status(path: str | bytes | os.PathLike[str]) -> Status | None:
    """None: there is no such file, it is half-written, or it is not one of ours."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path may be bytes
            data = file.read(STATUS_SIZE + 1)
    except OSError:
        return None
    return _decode(data)


def _encode(status: Status) -> bytes:
    line = json.dumps(status._asdict(), separators=(",", ":")).encode("ascii")
    if len(line) >= STATUS_SIZE:
        raise ValueError(f"a status of {len(line)} bytes does not fit into {STATUS_SIZE - 1}")
    return line.ljust(STATUS_SIZE - 1) + b"\n"


def _decode(data: bytes) -> Status | None:
    if len(data) != STATUS_SIZE or data[-1:] != b"\n":
        return None
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not all(_fits(fields.get(name), types) for name, types in _TYPES.items()):
        return None
    status = Status._make(fields.get(name) for name in Status._fields)
    return status if status.state in _STATES else None


def _fits(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)
