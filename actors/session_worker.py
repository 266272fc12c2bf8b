"""One attempt that is a session on an agent server: made or taken up again, prompted, followed, aborted, concluded."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path

import msgspec
import trio

from actors.orders import Answer, Ask, AskSpawn
from actors.replies import reply
from actors.session_files import open_files, write_last_message, write_status
from actors.session_follower import INBOX, FollowedInput, Note, SessionFollower, Wake
from actors.session_lease import Lease, OpenLease
from actors.session_log import SessionLog
from actors.session_messages import Register, Unregister
from actors.session_wishes import Wish
from actors.spool_writer import SpoolWriter
from protocols.agents import Prompting
from protocols.errors import KeeperError, ServerError, SpawnError
from protocols.ids import WorkerId
from protocols.keeper import Exited, Extend, Report, Spawned, Stop, Stopping
from protocols.keeper_codec import from_os
from protocols.keeper_inputs import Interrupt, Permit, Prompt, Unread, Write
from protocols.kinds import EndReason
from protocols.opencode_dialect import NewSession
from protocols.permission_policy import server_rules
from protocols.session_changes import PromptEnded
from protocols.session_course import SessionCourse
from protocols.session_ended import ended_attempt
from protocols.session_entries import Begun, Entry
from protocols.session_events import SessionStarted
from protocols.session_fold import SessionFold
from protocols.session_requests import Requests
from protocols.session_sending import Prompts, ServerClock

__all__ = ["SessionWorker"]

logger = logging.getLogger(__name__)

_GOODBYE = 5.0
_NO_INPUT = "a session has no input: nobody can type there"


@dataclass(slots=True, kw_only=True)
class SessionWorker:
    """Serve one `AskSpawn` of a task with a prompt. What is asked of it later comes to `take`."""

    ask: AskSpawn
    prompting: Prompting
    open_lease: OpenLease
    folder: Path
    """Of the attempt."""
    limiter: trio.CapacityLimiter
    now: Callable[[], float] = time.time
    salt: Callable[[int], bytes] = os.urandom
    answered: Answer | None = None
    _stop: Stop | None = None
    _not_after: float = inf
    """Unix time of its timeout."""
    _stop_by: float = inf
    """Unix time, once there is a stop."""
    _waiting: trio.CancelScope = field(default_factory=trio.CancelScope)
    _follower: SessionFollower | None = None
    _reason: EndReason = "exit"

    async def run(self) -> None:
        """Answer, and report until the end."""
        try:
            with self._waiting:
                async with open_files(self.ask, self.folder, self.limiter) as (spool, log, entries):
                    await self._serve(spool, log, entries)
        except* (ServerError, KeeperError) as group:
            if self.answered is not None:
                raise
            self._answer(Answer(error=_spawn_error(group)))
        if self.answered is None:
            self._answer(Answer(error=SpawnError("stopped before its session was there", "stopped")))

    async def take(self, ask: Ask) -> None:
        """A request for this attempt that came after its spawn."""
        match ask.request:
            case Stop() as stop:
                self._stop = self._stop or stop
                self._stop_by = min(self._stop_by, self.now() + stop.grace)
                self._hurry()
            case Extend(left=left):
                self._not_after = self.now() + left
                self._wake()
            case Write(note=True, data=data) if self._follower is not None:
                self._follower.take_word(Note(from_os(data).decode("utf-8", "replace"), ask.answer))
            case (Permit() | Prompt()) as request if self._follower is not None:
                self._follower.take_word(Wish(request, ask.answer))
            case Permit() | Prompt():
                reply(ask.answer, Answer(error=SpawnError("its session is not there yet; try again", "EAGAIN")))
            case Write() | Unread() | Interrupt():
                reply(ask.answer, Answer(error=SpawnError(_NO_INPUT, "EBADF")))
            case _:
                pass

    def _hurry(self) -> None:
        follower = self._follower
        if self.answered is None:
            self._waiting.cancel(reason="it was stopped before its session was there")
        elif follower is not None:
            left = max(self._stop_by - self.now(), 0.0)
            follower.hurry(trio.current_time() + left)
            self._wake()

    def _wake(self) -> None:
        if self._follower is not None:
            with suppress(trio.WouldBlock):  # it has so much to look at that it comes by anyway
                self._follower.own.send_nowait(Wake())

    async def _serve(self, spool: SpoolWriter, log: SessionLog, entries: Sequence[Entry]) -> None:
        request = self.ask.request
        begun = next((entry for entry in entries if isinstance(entry, Begun)), None)
        if request.resume and begun is None:
            raise SpawnError(f"{self.folder}: has no session of attempt {request.attempt}", "unknown-attempt")
        agent, place = self.prompting.agent, "" if begun is None else begun.place
        durable = not request.attached
        async with self.open_lease(agent, self.ask.order.task.cwd, place, durable=durable) as lease:
            if begun is None:
                begun = await self._create(lease)
                entries = ()
            course = self._course(begun)
            if entries:
                left = self.ask.order.open
                told = 0 if left is None else left.session_told
                course.restore(entries, self.now(), told=told, boots_hold=not agent.attach)
                await self._catch_up(course, spool, begun)
            else:
                course.begin(begun)
            await self._record("running")
            self._answer(Answer(msgspec.json.encode(Spawned(0, 0, self.now()))))
            end = await self._follow(course, begun, lease, spool, log)
        await self._keep_last_message(end)
        await self._conclude(end, spool)

    async def _create(self, lease: Lease) -> Begun:
        order, prompting = self.ask.order, self.prompting
        made = await lease.client.create_session(
            order.task.cwd,
            title=f"{order.task.id} {order.attempt}",
            permission=server_rules(prompting),
            agent=prompting.mode,
            model=prompting.model,
        )
        try:
            found = msgspec.json.decode(made, type=NewSession)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ServerError(f"{lease.endpoint.url}: a new session is not understood: {error}", "broken") from error
        return Begun(
            at=self.now(),
            session=found.id,
            server=lease.endpoint.url,
            directory=found.directory or order.task.cwd,
            title=found.title,
            created=found.time.created / 1000,
            place=lease.server,
        )

    def _course(self, begun: Begun) -> SessionCourse:
        order, clock = self.ask.order, ServerClock()
        fold = SessionFold(session=begun.session, worker=WorkerId(order.task.id), attempt=order.attempt)
        return SessionCourse(
            fold=fold,
            prompts=Prompts(prompting=self.prompting, salt=self.salt, clock=clock),
            requests=Requests(self.prompting),
        )

    async def _catch_up(self, course: SessionCourse, spool: SpoolWriter, begun: Begun) -> None:
        """Write what the earlier callboard knew and did not come to write."""
        said = "".join(course.texts).encode("utf-8", "replace")
        course.texts.clear()
        await spool.write(said[spool.size :])
        order = self.ask.order
        course.events.append(
            SessionStarted(
                at=self.now(),
                worker=WorkerId(order.task.id),
                attempt=order.attempt,
                session=begun.session,
                server=begun.server,
                directory=begun.directory,
                title=begun.title,
                resumed=True,
            )
        )

    async def _follow(
        self, course: SessionCourse, begun: Begun, lease: Lease, spool: SpoolWriter, log: SessionLog
    ) -> PromptEnded:
        own, inbox = trio.open_memory_channel[FollowedInput](INBOX)
        with own, inbox:
            follower = self._follower = SessionFollower(
                attempt=self.ask.request.attempt,
                directory=begun.directory,
                course=course,
                lease=lease,
                log=log,
                spool=spool,
                reports=self.ask.reports,
                inbox=inbox,
                own=own,
                limiter=self.limiter,
                check=partial(self._check, course),
                now=self.now,
            )
            self._not_after = self._timeout_at() if self._not_after == inf else self._not_after
            await lease.router.send(Register(begun.session, begun.directory, own.clone()))
            try:
                return await follower.run()
            finally:
                with trio.move_on_after(_GOODBYE, shield=True), suppress(trio.BrokenResourceError):
                    await lease.router.send(Unregister(begun.session))

    def _timeout_at(self) -> float:
        order, timeout = self.ask.order, self.ask.request.timeout
        started = None if order.open is None else order.open.started
        return inf if timeout is None else (self.now() if started is None else started.at) + timeout

    def _check(self, course: SessionCourse) -> float:
        """Tell the course of a stop, or that its time is over. Return when to look again."""
        now, request = self.now(), self.ask.request
        if self._stop is not None:
            self._begin_end(self._stop.reason, self._stop_by - now)
            course.stop("aborted", max(self._stop_by - now, 0.0), now)
        elif now >= self._not_after:
            self._stop_by = now + request.grace
            self._stop = Stop(attempt=request.attempt, grace=request.grace, reason="timeout")
            self._begin_end("timeout", request.grace)
            course.stop("timed-out", request.grace, now)
        return inf if self._stop is not None else self._not_after

    def _begin_end(self, reason: EndReason, grace: float) -> None:
        if self._reason == "exit":
            self._reason = reason
            report = Stopping(attempt=self.ask.request.attempt, reason=reason, grace=max(grace, 0.0))
            self._say(report)

    def _say(self, report: Report) -> None:
        """Where there is no room for a notice that the end has begun, the end itself tells it."""
        with suppress(trio.WouldBlock, trio.BrokenResourceError):
            self.ask.reports.send_nowait(report)

    async def _keep_last_message(self, end: PromptEnded) -> None:
        """For who reads the output of the task. On the disk before the end is."""
        output = self.ask.order.task.output
        if output is not None and output.kind == "last-message" and end.outcome == "completed":
            await trio.to_thread.run_sync(write_last_message, self.folder, end.text, limiter=self.limiter)

    async def _conclude(self, end: PromptEnded, spool: SpoolWriter) -> None:
        request, at = self.ask.request, self.now()
        ended = ended_attempt(
            end,
            request.attempt,
            reason=self._reason,
            stop=self._stop,
            resumed=request.resume,
            at=at,
            size=spool.size,
        )
        try:
            await self._record("ended", ended.code, ended.reason, at)
        except SpawnError as error:  # the file is for a later callboard; this one tells the end all the same
            logger.warning("the end of attempt %s is not in its status file: %s", request.attempt, error)
        await self.ask.reports.send(Exited(attempt=request.attempt, code=ended.code, signal=None, at=at))
        await self.ask.reports.send(ended)

    def _answer(self, answer: Answer) -> None:
        self.answered = reply(self.ask.answer, answer)

    async def _record(self, state: str, code: int | None = None, reason: str | None = None, at: float = 0.0) -> None:
        """What a later callboard finds where this one was killed. Raise SpawnError."""
        write = partial(write_status, self.ask.request, state, code, reason, at or None)
        await trio.to_thread.run_sync(write, limiter=self.limiter)


def _spawn_error(group: BaseExceptionGroup[ServerError | KeeperError]) -> KeeperError:
    """The first of them, as the error of a spawn."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, KeeperError) else SpawnError(str(error))
