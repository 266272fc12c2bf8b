"""A managed OpenCode server: started, watched, started again when it dies, and stopped with nothing left behind."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from actors.opencode_process import Host, OpenCodeProcess, free_port
from actors.opencode_record import ServerRecord, last_boot, read_record, write_record
from actors.server_messages import ServerGone, ServerReady, ServerState
from actors.session_messages import Endpoint
from protocols.backoff import delays
from protocols.errors import ServerError
from protocols.wording import quote

__all__ = ["ManagedServer"]

_TRIES = 3  # starts in a row that fail: then it is no accident
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_STEADY = 60.0  # seconds of life after which an end is an accident of its own
_PROBE_EVERY = 10.0
_PROBE = 10.0  # one with 32 new directories at once is busy for seconds
_FAREWELL = 5.0
_GRACE = 1.0
_LOOK = 0.05


def _new_endpoint() -> Endpoint:
    return Endpoint(f"http://127.0.0.1:{free_port()}", secrets.token_urlsafe(24))


@dataclass(slots=True, kw_only=True)
class ManagedServer:
    """One address with one process after the other. ``outbox`` is told each time it is ready, and each time it is gone.

    The last that is told is a `ServerGone` that will not be started again.
    """

    name: str
    host: Host
    folder: Path
    """Of its own; each boot gets a folder in it."""
    outbox: trio.MemorySendChannel[ServerState]
    stuck_after: float = 120.0
    """Seconds without an answer to any probe, after which it is ended as one that died."""
    boot: int = 0
    """The number of the newest process."""
    directories: set[str] = field(default_factory=set)
    """In which it has had sessions: those that are busy when it is stopped are aborted first."""
    _endpoint: Endpoint = field(default_factory=_new_endpoint)
    _stopping: trio.Event = field(default_factory=trio.Event)

    def stop(self) -> None:
        """`run` returns soon."""
        self._stopping.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until it is stopped, or does not come up again and again."""
        task_status.started()
        pauses, failures = _pauses(), 0
        ever_ready = False
        async with self.outbox.clone() as outbox:
            left = await self._find_left()
            while True:
                began = trio.current_time()
                why, was_ready = await self._live(outbox, left)
                left, ever_ready = None, ever_ready or was_ready
                failures = 0 if was_ready else failures + 1
                if trio.current_time() - began > _STEADY:
                    pauses = _pauses()
                hopeless = failures >= _TRIES or why.kind == "not-found"
                again_in = None if hopeless or self._stopping.is_set() else next(pauses)
                given_up = hopeless and not self._stopping.is_set()
                await outbox.send(ServerGone(self.name, self.boot, str(why), again_in, given_up))
                if again_in is None:
                    return
                if not ever_ready:
                    self._endpoint = _new_endpoint()  # nobody knows the old one, and its port may be somebody else's
                with trio.move_on_after(again_in):
                    await self._stopping.wait()

    async def _find_left(self) -> ServerRecord | None:
        """A process that an earlier supervisor has started, and that answers."""
        self.boot = await trio.to_thread.run_sync(last_boot, self.folder, limiter=self.host.limiter)
        left = await trio.to_thread.run_sync(read_record, self.folder, limiter=self.host.limiter)
        if left is None:
            return None
        try:
            await self.host.open_client(left.endpoint).health()
        except ServerError:
            return None
        return left

    async def _live(
        self, outbox: trio.MemorySendChannel[ServerState], left: ServerRecord | None
    ) -> tuple[ServerError, bool]:
        """One process from its start to its end: why it is gone, and whether it ever was ready.

        ``left``: it is there already.
        """
        if self._stopping.is_set():
            return ServerError("nobody needs it any more", "unreachable"), False
        process = self._next_process(left)
        async with trio.open_nursery() as nursery:
            try:
                await process.start(nursery, resume=left is not None)
                version = await process.wait_until_ready(self._stopping)
                await self._record(process)
            except ServerError as error:
                await process.stop(0)
                return error, False
            await outbox.send(ServerReady(self.name, self.boot, self._endpoint, version, process.hosted.pid))
            stuck = await self._watch(process)
            if self._stopping.is_set():
                await self._say_farewell()
            text = f"it did not answer for {self.stuck_after:g} s, and was ended" if stuck else ""
            if not process.hosted.ended.is_set():
                await process.stop(_GRACE)
                text = text or "nobody needs it any more"
            return ServerError(text or await process.tell_end(), "unreachable"), True

    def _next_process(self, left: ServerRecord | None) -> OpenCodeProcess:
        if left is None:
            self.boot += 1
            return OpenCodeProcess(host=self.host, endpoint=self._endpoint, folder=self.folder / str(self.boot))
        self.boot, self._endpoint = left.boot, left.endpoint
        folder = self.folder / str(left.boot)
        return OpenCodeProcess(host=self.host, endpoint=left.endpoint, folder=folder, attempt=left.attempt)

    async def _record(self, process: OpenCodeProcess) -> None:
        """Of one that goes on without us, for who comes after us. Raise ServerError."""
        if self.host.attached:
            return
        record = ServerRecord(process.attempt, self.boot, self._endpoint)
        try:
            await trio.to_thread.run_sync(write_record, self.folder, record, limiter=self.host.limiter)
        except OSError as error:
            text = f"agent {quote(self.host.agent.name)}: {error.filename}: {error.strerror}"
            raise ServerError(text, "unreachable") from error

    async def _watch(self, process: OpenCodeProcess) -> bool:
        """Return when it has ended, is to end, or is stuck; True only if stuck."""
        stuck = False

        async def wait_for(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel(reason="somebody ends it, or it has ended")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for, process.hosted.ended)
            nursery.start_soon(wait_for, self._stopping)
            await self._probe()
            stuck = True
            nursery.cancel_scope.cancel(reason="it is stuck")
        return stuck and not process.hosted.ended.is_set() and not self._stopping.is_set()

    async def _probe(self) -> None:
        """Return when it is stuck."""
        client = self.host.open_client(self._endpoint)
        answered_at = trio.current_time()
        while trio.current_time() - answered_at < self.stuck_after:
            await trio.sleep(min(_PROBE_EVERY, self.stuck_after / 4))
            try:
                await client.health(min(_PROBE, self.stuck_after / 4))
            except ServerError:
                continue
            answered_at = trio.current_time()

    async def _say_farewell(self) -> None:
        """Abort what is busy, and wait until nothing is: TERM alone would leave its tools to be swept."""
        with trio.move_on_after(_FAREWELL):
            async with trio.open_nursery() as nursery:
                for directory in sorted(self.directories):
                    nursery.start_soon(self._quieten, directory)

    async def _quieten(self, directory: str) -> None:
        client = self.host.open_client(self._endpoint)
        told: set[str] = set()
        try:
            while busy := _names(await client.session_status(directory)):
                for session in busy - told:
                    await client.abort(session)
                told |= busy
                await trio.sleep(_LOOK)
        except ServerError:
            return  # it will be gone in a moment anyway, with all that it started


def _names(status: bytes) -> set[str]:
    """The sessions that a `/session/status` lists."""
    try:
        return set(msgspec.json.decode(status, type=dict[str, msgspec.Raw]))
    except msgspec.MsgspecError:
        return set()


def _pauses() -> Iterator[float]:
    return delays(_FIRST_PAUSE, _LONGEST_PAUSE)
