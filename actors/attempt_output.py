"""The output of an attempt that ended well: found, checked against what the plan wants, copied, recorded."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import trio

from actors.files import replace_file
from actors.messages import Append
from actors.orders import StartWorker
from actors.spawn_request import Surroundings, streams_of_task
from protocols.errors import PlanError
from protocols.events import SpoolBlocked, SpoolResumed, WorkerExited
from protocols.fan_out import group_of
from protocols.ids import TaskId, WorkerId
from protocols.json_text import parse_json, without_fence
from protocols.outcomes import is_success
from protocols.session_changes import LONGEST_ANSWER
from protocols.sizes import format_bytes
from protocols.task_output import DEEPEST, Output, TaskOutput

__all__ = ["AttemptOutput", "load_outputs"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_COARSE = 0.1  # seconds; the clock of files lags behind by up to a tick of the kernel
_MOST = 256 * 1024 * 1024  # bytes that the outputs for one attempt may take, as in a plan


class _OutputError(Exception):
    """What is wrong with an output, for people and for the agent that is to do better."""


@dataclass(frozen=True, slots=True)
class _Age:
    """What tells a file of this attempt from one that was there before."""

    before: tuple[int, ...] | None
    started_at: float | None
    """Unix time, where an earlier supervisor has started it: nobody knows then what was there before."""

    def includes(self, found: os.stat_result) -> bool:
        """The change time counts: a file that is moved here keeps the time at which it was written."""
        if self.before == _stamp(found):
            return False
        return self.started_at is None or found.st_ctime > self.started_at - _COARSE


@dataclass(slots=True, kw_only=True)
class AttemptOutput:
    """Of one attempt. ``found`` once it is there and recorded."""

    order: StartWorker
    around: Surroundings
    stopped: Callable[[], bool] = lambda: False
    """Somebody wants its end: a full disk is not waited for then."""
    found: TaskOutput | None = None
    _before: tuple[int, ...] | None = None
    """By what the file that is there before the attempt would be known again."""

    async def prepare(self) -> None:
        """To be called before the start: what is there now is no output of this attempt."""
        wanted = self.order.task.output
        if wanted is not None and wanted.kind == "file" and self.order.open is None:
            look = partial(_look, Path(wanted.path))
            self._before = await trio.to_thread.run_sync(look, limiter=self.around.limiter, abandon_on_cancel=True)

    async def take(self, exited: WorkerExited) -> WorkerExited:
        """The end of the attempt, which is another one where the output is not as the plan wants it. What an earlier
        supervisor has recorded of this attempt holds."""
        wanted, left = self.order.task.output, self.order.open
        if wanted is None or not is_success(exited):
            return exited
        if left is not None and left.output is not None:
            self.found = left.output
            return exited
        started_at = exited.started_at if left is not None else None
        read = partial(_take, self.order, self.around, wanted, _Age(self._before, started_at), self.around.now())
        try:
            found = await self._copy(read)
        except _OutputError as error:
            return msgspec.structs.replace(exited, reason="output", error=f"{wanted.label}: {error}")
        await self.around.outbox.send(Append(found))
        self.found = found
        return exited

    async def _copy(self, read: Callable[[], TaskOutput]) -> TaskOutput:
        """As soon as the disk has room for it. Raise _OutputError."""
        around, worker, attempt = self.around, WorkerId(self.order.task.id), self.order.attempt
        stream, full = streams_of_task(self.order.task)[0], ""
        while True:
            try:
                found = await trio.to_thread.run_sync(read, limiter=around.limiter, abandon_on_cancel=True)
                break
            except OSError as error:
                why = f"cannot be copied to {around.folder.output(worker, attempt)}: {error.strerror}"
                if error.errno not in _FULL or self.stopped():
                    raise _OutputError(why) from error
            if not full:
                full = f"its output {why}"
                blocked = SpoolBlocked(at=around.now(), worker=worker, attempt=attempt, stream=stream, error=full)
                await around.outbox.send(Append(blocked))
            await trio.sleep(around.retry)
        if full:
            resumed = SpoolResumed(at=around.now(), worker=worker, attempt=attempt, stream=stream)
            await around.outbox.send(Append(resumed))
        return found


def load_outputs(root: Path, outputs: Sequence[TaskOutput], groups: Collection[TaskId] = ()) -> dict[str, object]:
    """What tasks gave, by their names; that of ``groups`` by the keys of their items. In a thread. Raise ValueError."""
    if sum(output.bytes for output in outputs) > _MOST:
        raise ValueError(f"outputs: together larger than {format_bytes(_MOST)}; name fewer of them, or give less")
    items: dict[str, dict[str, object]] = {group: {} for group in groups}
    found: dict[str, object] = {**items}
    for output in outputs:
        value, made = _load(root, output), group_of(output.task)
        if made is None:
            found[output.task] = value
        else:
            items[made[0]][made[1]] = value
    return found


def _load(root: Path, output: TaskOutput) -> object:
    """The value that was recorded. In a thread. Raise ValueError where the copy is not what it was."""
    try:
        data = (root / output.path).read_bytes()
    except OSError as error:
        raise ValueError(f"{output.path}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != output.sha256:
        raise ValueError(f"{output.path}: is not what was recorded; somebody has changed it")
    return data.decode() if output.form == "text" else parse_json(data, DEEPEST)


def _look(path: Path) -> tuple[int, ...] | None:
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _take(order: StartWorker, around: Surroundings, wanted: Output, age: _Age, at: float) -> TaskOutput:
    """In a thread. Raise _OutputError, OSError where it cannot be copied."""
    worker, folder = WorkerId(order.task.id), around.folder
    places = {
        "file": Path(wanted.path),
        "stdout-json": folder.spool(worker, order.attempt, "stdout"),
        "last-message": folder.last_message(worker, order.attempt),
        "report": folder.summary(worker, order.attempt),
    }
    data = _read(places[wanted.kind], wanted, age if wanted.kind == "file" else _Age(None, None))
    if wanted.kind == "last-message" and len(data.decode()) >= LONGEST_ANSWER:
        raise _OutputError(f"longer than {LONGEST_ANSWER:,} characters; put it in a file")
    if wanted.kind == "last-message" and (wanted.form == "json" or wanted.plan):
        data = without_fence(data.decode()).encode()
    if wanted.plan:
        _check_plan(order.task.id, data, around)
    elif wanted.form == "json":
        _check(data, wanted, around)
    copy = folder.output(worker, order.attempt)
    replace_file(copy, data, sync=True)
    return TaskOutput(
        at=at,
        task=order.task.id,
        attempt=order.attempt,
        form=wanted.form,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        path=str(copy.relative_to(folder.root)),
    )


def _read(path: Path, wanted: Output, age: _Age) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # opening a pipe would wait for its writer
    except FileNotFoundError as error:
        raise _OutputError("it is missing") from error
    except OSError as error:
        raise _OutputError(f"cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _OutputError("is no file")
        if not age.includes(found):
            raise _OutputError("it is missing: what is there is older than this attempt; write it anew")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(wanted.max_output + 1)
    except OSError as error:
        raise _OutputError(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
    if len(data) > wanted.max_output:
        raise _OutputError(f"larger than its max_output of {format_bytes(wanted.max_output)}")
    return data


def _check_plan(task: TaskId, data: bytes, around: Surroundings) -> None:
    try:
        around.check_plan(task, data)
    except PlanError as error:
        raise _OutputError(f"no plan that can run: {'; '.join(error.problems)}") from error


def _check(data: bytes, wanted: Output, around: Surroundings) -> None:
    try:
        parse_json(data, DEEPEST)
    except ValueError as error:
        raise _OutputError(str(error)) from error
    if not wanted.schema:
        return
    try:
        violations = around.schemas.find(data, around.folder.schema(wanted.schema).read_bytes())
    except (OSError, ValueError) as error:
        raise _OutputError(f"its schema {wanted.schema} cannot be used: {error}") from error
    if violations:
        raise _OutputError(f"not as its schema says: {'; '.join(violations)}")
