"""The life of one attempt: recorded, started, followed, stopped on command, concluded."""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from actors.messages import Append
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk, StartWorker, StopWorker
from actors.postmortem import Finding, examine
from actors.spawn_request import Surroundings, spawn_request, spools_of, streams_of_task
from actors.streamer import Notice, Streamer
from protocols import keeper as wire
from protocols.adoption_events import WorkerAdopted
from protocols.errors import SpawnError
from protocols.events import AttemptStarting, Event, SpoolBlocked, SpoolResumed, WorkerExited, WorkerStarted
from protocols.ids import WorkerId
from protocols.kinds import EndReason, Stream
from protocols.resumption import OpenAttempt

__all__ = ["Worker"]

_LOST = "its keeper died with it, and nobody has its exit status"
_FULL = frozenset({"ENOSPC", "EDQUOT"})
_INBOX = 64  # an attempt has some ten reports; a notice that finds it full is not needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Run one attempt to its end."""

    order: StartWorker
    around: Surroundings
    commands: trio.MemoryReceiveChannel[StopWorker]
    prompts: tuple[str, ...] = ()
    """Where they are not those of the plan."""
    refusal: str = ""
    """Why it is not to be started, now or later."""
    again: bool = False
    """Another attempt may be."""
    accept: Callable[[WorkerExited], Awaitable[WorkerExited]] | None = None
    """What becomes of its end, before that is recorded."""

    async def run(self) -> WorkerExited:
        """Return the last event of the attempt, after it was committed to the journal."""
        if self.order.open is None:
            await self._record(self._starting())
        notices, inbox = trio.open_memory_channel[Notice](_INBOX)
        with notices, inbox:
            async with trio.open_nursery() as nursery:
                exited = await self._live(nursery, notices, inbox)
                nursery.cancel_scope.cancel(reason="the attempt has ended")
        exited = exited if self.accept is None else await self.accept(exited)
        await self._record(exited)
        await self._source.send(Ask(wire.Forget(attempt=self.order.id)))
        return exited

    async def _live(
        self,
        nursery: trio.Nursery,
        notices: trio.MemorySendChannel[Notice],
        inbox: trio.MemoryReceiveChannel[Notice],
    ) -> WorkerExited:
        if self.order.over_budget:
            return self._not_started(self.order.over_budget, "budget")
        if self.refusal:
            return msgspec.structs.replace(self._not_started(self.refusal), final=not self.again)
        answer, waited = (await self._spawn(notices), False) if self.order.open else await self._start(notices)
        if isinstance(answer, StopWorker):
            return self._not_started(answer.detail or "stopped before its start", answer.reason)
        if answer.error is not None:
            return await self._refused(answer.error, notices, inbox)
        nursery.start_soon(self._obey)  # a stop does not wait for the journal
        if waited:
            await self.around.outbox.send(Append(self._resumed()))
        started = self._started(msgspec.json.decode(answer.ok, type=wire.Spawned))
        await self.around.outbox.send(Append(self._adopted() or started))
        left = self.order.open
        if left is not None and left.started is not None:
            started = left.started
        return self._exited(started, await self._streamer(notices, inbox).run())

    async def _refused(
        self, error: Exception, notices: trio.MemorySendChannel[Notice], inbox: trio.MemoryReceiveChannel[Notice]
    ) -> WorkerExited:
        """It could not be started, or nobody has it any more: then its files tell how it ended."""
        left = self.order.open
        if left is None:
            stopped = isinstance(error, SpawnError) and error.code == "stopped"
            stopped = stopped or self.commands.statistics().current_buffer_used > 0
            return self._not_started(str(error), "stop" if stopped else "not-started")
        found = await trio.to_thread.run_sync(self._examine, left)
        if found is None:
            return self._not_started("callboard was killed before it could be started", "orphaned")
        started = left.started
        if started is None and found.started is not None:
            started = self._started(found.started)
            await self.around.outbox.send(Append(started))
        notices.send_nowait(found.report)
        exited = self._exited(started, await self._streamer(notices, inbox).run())
        return msgspec.structs.replace(exited, at=self.around.now(), error=found.error or exited.error)

    def _examine(self, left: OpenAttempt) -> Finding | None:
        around, attempt = self.around, self.order.id
        return examine(
            around.fleet,
            attempt,
            around.folder.status(attempt),
            spools_of(self.order, around),
            boot_id=around.boot_id,
            seen_at=left.seen_at,
            ran=left.started is not None or any(left.covered.values()),
        )

    async def _start(self, notices: trio.MemorySendChannel[Notice]) -> tuple[Answer | StopWorker, bool]:
        """Ask for the start, again and again while the disk is full, unless a stop comes first.

        Return the last answer, and whether there were others before.
        """
        if self.commands.statistics().current_buffer_used:
            return await self.commands.receive(), False
        answer = await self._spawn(notices)
        if not _is_full(answer):
            return answer, False
        worker, attempt, now = self._worker, self.order.attempt, self.around.now
        blocked = SpoolBlocked(
            at=now(), worker=worker, attempt=attempt, stream=self._streams[0], error=str(answer.error)
        )
        await self.around.outbox.send(Append(blocked))
        while _is_full(answer):
            with trio.move_on_after(self.around.retry):
                return await self.commands.receive(), True
            answer = await self._spawn(notices)
        return answer, True

    async def _spawn(self, notices: trio.MemorySendChannel[Notice]) -> Answer:
        try:
            await trio.to_thread.run_sync(self._make_folders)  # a slow disk delays nobody else
        except OSError as error:  # the disk is full, or somebody took the folder away
            code = errno.errorcode.get(error.errno or 0, "")
            return Answer(error=SpawnError(f"{error.filename}: {error.strerror}", code))
        send, receive = trio.open_memory_channel[Answer](1)
        with send, receive:
            await self._source.send(AskSpawn(spawn_request(self.order, self.around), send, notices, self.order))
            return await self._wait_for(receive)

    async def _wait_for(self, answer: trio.MemoryReceiveChannel[Answer]) -> Answer:
        """What a task adopts, or the server of its session, may take its time to appear: no stop waits for it."""
        task = self.order.task
        if task.tmux is None and task.prompting is None:
            return await answer.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._obey)
            found = await answer.receive()
            nursery.cancel_scope.cancel(reason="it was answered")
        return found

    def _make_folders(self) -> None:
        attempt = self.around.folder.attempt(self._worker, self.order.attempt)
        status = self.around.folder.status(self.order.id)
        for folder in (attempt.parent.parent, attempt.parent, attempt, status.parent):
            folder.mkdir(mode=0o700, exist_ok=True)

    async def _obey(self) -> None:
        """Pass commands to the source. It only lets a stop become more urgent."""
        async for command in self.commands:
            stop = wire.Stop(attempt=self.order.id, grace=command.grace, reason=command.reason, detail=command.detail)
            await self._source.send(Ask(stop))

    async def _record(self, event: Event) -> None:
        committed = trio.Event()
        await self.around.outbox.send(Append(event, committed))
        await committed.wait()

    def _streamer(self, notices: trio.MemorySendChannel[Notice], inbox: trio.MemoryReceiveChannel[Notice]) -> Streamer:
        task, around, left = self.order.task, self.around, self.order.open
        return Streamer(
            worker=self._worker,
            attempt=self.order.attempt,
            spools=spools_of(self.order, self.around),
            inbox=inbox,
            notices=notices,
            follower=around.follower,
            outbox=around.outbox,
            covered={} if left is None else left.covered,
            silent_for=0.0 if left is None else max(0.0, around.now() - left.silent_since),
            direct=task.source == "logfile" and task.logfile is None,
            progress_file=None if task.progress_file is None else Path(task.progress_file),
            heartbeat=around.heartbeat,
            now=around.now,
        )

    @property
    def _source(self) -> trio.MemorySendChannel[KeeperAsk]:
        return self.around.sources.of(self.order.task)

    @property
    def _streams(self) -> tuple[Stream, ...]:
        return streams_of_task(self.order.task)

    @property
    def _worker(self) -> WorkerId:
        return WorkerId(self.order.task.id)

    def _starting(self) -> AttemptStarting:
        task = self.order.task
        return AttemptStarting(
            at=self.around.now(),
            worker=self._worker,
            attempt=self.order.attempt,
            id=self.order.id,
            argv=task.command,
            cwd=task.cwd,
            timeout=task.timeout,
            source=task.source,
            window=None if "terminal" not in self._streams or task.tmux is not None else task.window,
            log="" if task.logfile is None else task.logfile.path,
            prompts=self.prompts,
        )

    def _resumed(self) -> SpoolResumed:
        return SpoolResumed(
            at=self.around.now(), worker=self._worker, attempt=self.order.attempt, stream=self._streams[0]
        )

    def _adopted(self) -> WorkerAdopted | None:
        """None where its start is not recorded yet, be it that of long ago."""
        left = self.order.open
        if left is None or left.started is None:
            return None
        return WorkerAdopted(
            at=self.around.now(),
            worker=self._worker,
            attempt=self.order.attempt,
            epoch=left.epoch,
            pid=left.started.pid,
        )

    def _started(self, spawned: wire.Spawned) -> WorkerStarted:
        return WorkerStarted(
            at=spawned.at,
            worker=self._worker,
            attempt=self.order.attempt,
            pid=spawned.pid,
            start_ticks=spawned.start_ticks,
            boot_id=self.around.boot_id,
            pid_namespace=self.around.pid_namespace,
        )

    def _exited(self, started: WorkerStarted | None, ended: wire.Ended) -> WorkerExited:
        known = ended.code is not None or ended.signal is not None or ended.released or not self.order.task.command
        return WorkerExited(
            at=ended.at,
            worker=self._worker,
            attempt=self.order.attempt,
            code=ended.code,
            signal=ended.signal,
            reason=ended.reason if known else "lost",
            started_at=None if started is None else started.at,
            ended_at=ended.exited_at,
            stdout_bytes=ended.stdout_bytes,
            stderr_bytes=ended.stderr_bytes,
            terminal_bytes=ended.terminal_bytes,
            log_bytes=ended.log_bytes,
            session_bytes=ended.session_bytes,
            stdin_unread=ended.unread,
            swept=ended.swept,
            final=ended.final,
            quota=ended.quota,
            quota_until=ended.quota_until,
            error=ended.detail or (self.order.task.limits.describe(ended.reason) if known else _LOST),
        )

    def _not_started(self, error: str, reason: EndReason = "not-started") -> WorkerExited:
        now = self.around.now()
        return WorkerExited(
            at=now,
            worker=self._worker,
            attempt=self.order.attempt,
            code=None,
            signal=None,
            reason=reason,
            started_at=None,
            ended_at=now,
            stdout_bytes=0,
            stderr_bytes=0,
            error=error,
        )


def _is_full(answer: Answer) -> bool:
    return isinstance(answer.error, SpawnError) and answer.error.code in _FULL
