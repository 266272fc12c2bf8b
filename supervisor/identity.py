"""Which fleet this is: what ``fleet.json`` says of it for ever."""

import os
import re
import secrets
import uuid
from base64 import b32encode
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from actors.keeper_process.procfs import Process, read_process
from protocols.errors import StateError
from protocols.ids import FleetId, RunId
from supervisor.machine import boot_id, pid_namespace

__all__ = ["Durable", "Identity", "identify", "is_run_name", "succeed"]

Durable: TypeAlias = Literal["none", "some", "all"]

_Natural = Annotated[int, msgspec.Meta(gt=0)]
_RUN = r"\A[a-z2-7]{8}\Z"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What ``fleet.json`` holds: what never changes, and who its supervisor is."""

    fleet: Annotated[FleetId, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    run: Annotated[RunId, msgspec.Meta(pattern=_RUN)]
    plan: str
    cwd: str
    cwd_bytes: str = ""
    """Where it is no UTF-8: its bytes, as latin-1."""
    started_at: float
    """Unix time."""
    version: str
    pid: _Natural
    """The supervisor. Only together with the next three fields it names a process."""
    start_ticks: _Natural
    boot_id: str
    pid_namespace: int
    inode: int
    """Of the folder: a copy of it has another one, and owns no processes."""
    durable: Durable = "none"
    """Which of its workers go on when their supervisor is gone. Where some do, nobody but a user ends the run."""
    standing: bool = False
    """It is that of a ``callboard up``."""
    epoch: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Counts its supervisors."""

    @property
    def start(self) -> Path:
        """The folder in which it was started."""
        return Path(os.fsdecode(self.cwd_bytes.encode("latin-1")) if self.cwd_bytes else self.cwd)

    def is_local(self) -> bool:
        """Whether a pid means the same to us as it did to this fleet."""
        return self.boot_id == boot_id() and self.pid_namespace == pid_namespace()


def is_run_name(name: str) -> bool:
    """Whether a folder of this name may be that of a fleet."""
    return re.search(_RUN, name) is not None


def identify(
    folder: Path, plan: str, cwd: str, version: str, at: float, durable: Durable = "none", *, standing: bool = False
) -> Identity:
    """A new fleet in this folder, of this process. Raise `StateError` where our own process is not to be seen."""
    process = _ourselves()
    return Identity(
        fleet=FleetId(uuid.uuid4().hex),
        run=RunId(b32encode(secrets.token_bytes(5)).decode().lower()),
        plan=_text(plan),
        cwd=_text(cwd),
        cwd_bytes="" if _text(cwd) == cwd else os.fsencode(cwd).decode("latin-1"),
        started_at=at,
        version=version,
        pid=process.pid,
        start_ticks=process.start_ticks,
        boot_id=boot_id(),
        pid_namespace=pid_namespace(),
        inode=folder.stat().st_ino,
        durable=durable,
        standing=standing,
    )


def succeed(before: Identity, version: str) -> Identity:
    """The same fleet with this process as its next supervisor. Raise `StateError` as `identify` does."""
    process = _ourselves()
    return msgspec.structs.replace(
        before,
        version=version,
        pid=process.pid,
        start_ticks=process.start_ticks,
        boot_id=boot_id(),
        pid_namespace=pid_namespace(),
        epoch=before.epoch + 1,
    )


def _ourselves() -> Process:
    process = read_process(os.getpid())
    if process is None:
        raise StateError("/proc: it does not show our own process; mount the proc file system")
    return process


def _text(path: str) -> str:
    """A path may hold bytes that are no UTF-8; JSON may not."""
    return os.fsencode(path).decode("utf-8", "replace")
