"""The files of an attempt that is a session: its spool, its log, and its status for a later callboard."""

import errno
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from actors.files import replace_file
from actors.keeper_process.status import Status, StatusFile
from actors.orders import AskSpawn
from actors.session_log import SessionLog
from actors.spool_writer import SpoolWriter
from protocols.errors import SpawnError
from protocols.keeper import Spawn
from protocols.keeper_codec import from_os
from protocols.session_entries import Entry

__all__ = ["open_files", "write_last_message", "write_status"]

logger = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@asynccontextmanager
async def open_files(
    ask: AskSpawn, folder: Path, limiter: trio.CapacityLimiter
) -> AsyncIterator[tuple[SpoolWriter, SessionLog, list[Entry]]]:
    """The spool and the log of an attempt, and what the log holds from before. Raise SpawnError."""
    fd, log, entries = await trio.to_thread.run_sync(_open, folder, limiter=limiter)
    attempt, reports = ask.request.attempt, ask.reports
    try:
        yield SpoolWriter(attempt=attempt, stream="session", fd=fd, reports=reports, limiter=limiter), log, entries
    finally:
        os.close(fd)
        log.close()


def write_status(request: Spawn, state: str, code: int | None, reason: str | None, ended_at: float | None) -> None:
    """In a thread. Raise SpawnError."""
    path = from_os(request.status)
    boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
    status = Status(state, request.attempt, 0, 0, boot_id, code=code, exited_at=ended_at, reason=reason)
    try:
        file = StatusFile(path)
        file.write(status)
    except OSError as error:
        raise _disk_error(os.fsdecode(path), error) from error
    file.close()


def write_last_message(folder: Path, text: str) -> None:
    """In a thread. Where the disk does not take it there is none, and who wants it says so."""
    path = folder / "last-message"
    try:
        replace_file(path, text.encode("utf-8", "replace"))
    except OSError as error:
        logger.warning("%s: %s", path, error.strerror)
        path.unlink(missing_ok=True)


def _open(folder: Path) -> tuple[int, SessionLog, list[Entry]]:
    try:
        log, entries = SessionLog.open(folder / "session-events.json")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(folder / "session", flags, 0o600), log, entries
    except OSError as error:
        raise _disk_error(str(folder), error) from error


def _disk_error(path: str, error: OSError) -> SpawnError:
    return SpawnError(f"{path}: {error.strerror}", errno.errorcode.get(error.errno or 0, "EIO"))
