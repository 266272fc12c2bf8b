"""What lies on disk of an instance: the file that tells it what it may do, its plan, its runs, what became of them."""

import errno
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.attempt_output import load_outputs
from actors.files import replace_file
from actors.orders import StartWorker
from protocols.errors import SpawnError
from protocols.ids import RunId, WorkerId
from protocols.instances import Bounds, Handover, narrow
from protocols.layout import FleetFolder, InstanceFolder

__all__ = ["find_run", "find_run_of", "hand_over", "read_errors", "read_token", "write_summary"]

_RUN = re.compile(r"[a-z2-7]{8}")
_TAIL = 16 * 1024
_LONGEST = 4000  # characters of what it says is wrong


class _Task(msgspec.Struct, frozen=True):
    id: str
    status: str
    reason: str
    seconds: float | None
    attempts: Sequence[msgspec.Raw] = ()


class _Owner(msgspec.Struct, frozen=True):
    """Of ``fleet.json``: the supervisor."""

    pid: int
    start_ticks: int


class _Report(msgspec.Struct, frozen=True):
    """Of ``report.json``."""

    run: str
    outcome: str | None
    tasks: tuple[_Task, ...]


def hand_over(order: StartWorker, fleet: FleetFolder, path: str, bounds: Bounds, *, most: int | None) -> Handover:
    """Write what this attempt of an instance is told. ``path``: of the run that starts it; ``bounds``: its own;
    ``most``: how many instances it may start, None where there is no end of them.

    Blocks. Raise `SpawnError`.
    """
    task, place = order.task, fleet.instance(order.task.id)
    if task.instance is None:
        raise SpawnError(f'task "{task.id}" is no instance')
    inner = narrow(bounds, task.instance, timeout=task.timeout, grace=task.grace)
    handover = Handover(
        path=f"{path}/{task.id}",
        bounds=inner,
        token=secrets.token_hex(16),
        parent=str(fleet.root),
        runs=str(place.runs),
        given=task.instance.giver is not None,
        durable=task.durable,
    )
    try:
        _check_fan_out(place, most)
        place.root.mkdir(mode=0o700, exist_ok=True)
        for output in order.outputs:
            if output.task == task.instance.giver:
                replace_file(place.plan, str(load_outputs(fleet.root, [output])[output.task]).encode(), sync=True)
        replace_file(place.handover, msgspec.json.encode(handover), sync=True)
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "")
        raise SpawnError(f"{error.filename}: {error.strerror}", code) from error
    except ValueError as error:
        raise SpawnError(f"its plan: {error}") from error
    return handover


def _check_fan_out(place: InstanceFolder, most: int | None) -> None:
    place.root.parent.mkdir(mode=0o700, exist_ok=True)
    others = {each.name for each in os.scandir(place.root.parent)} - {place.root.name}
    if most is not None and len(others) >= most:
        raise SpawnError(f"this run has started {len(others)} instances, and may have {most} (fan_out)", "fan-out")


def find_run(place: InstanceFolder) -> RunId | None:
    """The run with which it has begun or gone on last; None where it has not come so far. Blocks."""
    found: list[tuple[int, str]] = []
    try:
        for entry in os.scandir(place.runs):
            identity = place.run(RunId(entry.name)).identity
            if _RUN.fullmatch(entry.name) and identity.exists():
                found.append((identity.stat().st_mtime_ns, entry.name))
    except FileNotFoundError:
        pass
    return RunId(max(found)[1]) if found else None


def find_run_of(place: InstanceFolder, pid: int, start_ticks: int) -> RunId | None:
    """The run that this very process supervises; None where it has not come so far. Blocks."""
    run = find_run(place)
    if run is None:
        return None
    try:
        owner = msgspec.json.decode(place.run(run).identity.read_bytes(), type=_Owner)
    except (OSError, msgspec.DecodeError):
        return None
    return run if (owner.pid, owner.start_ticks) == (pid, start_ticks) else None


def read_token(place: InstanceFolder) -> str:
    """What the last attempt was handed, to say that it is there; empty where that cannot be read. Blocks."""
    try:
        return msgspec.json.decode(place.handover.read_bytes(), type=Handover).token
    except (OSError, msgspec.DecodeError):
        return ""


def read_errors(stderr: Path) -> str:
    """What it has said that is wrong, as its last lines. Blocks."""
    try:
        with stderr.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return "; ".join(errors)[:_LONGEST]


def write_summary(fleet: FleetFolder, worker: WorkerId, attempt: int, run: FleetFolder) -> None:
    """What became of the tasks of an instance, by their ids, as JSON for others. Blocks. Raise OSError, ValueError."""
    report = msgspec.json.decode(run.report_json.read_bytes(), type=_Report)
    tasks = {
        task.id: {
            "status": task.status,
            "reason": task.reason,
            "seconds": task.seconds,
            "attempts": len(task.attempts),
        }
        for task in report.tasks
    }
    summary = {"run": report.run, "outcome": report.outcome, "tasks": tasks}
    replace_file(fleet.summary(worker, attempt), msgspec.json.encode(summary))
