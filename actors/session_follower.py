"""Follows one session on its server: feeds its course, writes what it says, and does what there is to do."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from typing import Literal, TypeAlias, assert_never

import msgspec
import trio

from actors.batches import receive_batch_nowait
from actors.orders import Answer as OrderAnswer
from actors.replies import reply
from actors.session_lease import Lease
from actors.session_log import SessionLog
from actors.session_messages import Connected, Disconnected, Missing, Reconcile, SessionInput
from actors.session_wishes import Wish, Wishes
from actors.spool_writer import SpoolWriter
from protocols.errors import ServerError, ServerErrorKind, SpawnError
from protocols.ids import AttemptId
from protocols.keeper import Missed, Report
from protocols.keeper_inputs import Written
from protocols.opencode import Envelope, Snapshot
from protocols.session_changes import PromptEnded
from protocols.session_course import SessionCourse
from protocols.session_deeds import Abort, Deed, Look, SendPrompt
from protocols.session_report import SessionReport
from protocols.session_requests import Answer

__all__ = ["INBOX", "FollowedInput", "SessionFollower", "Wake"]

logger = logging.getLogger(__name__)

INBOX = 1024
_BATCH = 256
_PAUSE = 1.0
_WRITE = 2.0
_ANSWERED: frozenset[ServerErrorKind] = frozenset(("not-found", "conflict", "bad-request"))


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a prompt's call."""

    message: str
    error: str = ""
    kind: ServerErrorKind | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The server is gone for good."""

    why: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Something else is to be looked at."""


@dataclass(frozen=True, slots=True)
class Note:
    """A word for an agent at work, which reads it before its next step. Nothing has to come of it."""

    text: str
    answer: trio.MemorySendChannel[OrderAnswer] | None


FollowedInput: TypeAlias = SessionInput | Sent | Gone | Wake | Note | Wish


@dataclass(slots=True, kw_only=True)
class SessionFollower:
    """Everything about one session happens in `run`, one after the other; only calls of the server run beside it."""

    attempt: AttemptId
    directory: str
    course: SessionCourse
    lease: Lease
    log: SessionLog
    spool: SpoolWriter
    reports: trio.MemorySendChannel[Report]
    inbox: trio.MemoryReceiveChannel[FollowedInput]
    own: trio.MemorySendChannel[FollowedInput]
    limiter: trio.CapacityLimiter
    check: Callable[[], float]
    """Called each time: who is asked for the end tells the course so. Returns the Unix time of the next call."""
    now: Callable[[], float] = time.time
    _notes: list[Note] = field(default_factory=list)
    _wishes: Wishes = field(default_factory=Wishes)
    _give_up_at: float = inf
    """On trio's clock: then nobody waits for the disk any longer."""
    _writing: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def run(self) -> PromptEnded:
        """Return how the last prompt ended. All that it said until then is in the spool and in the log."""
        async with trio.open_nursery() as calls:
            calls.start_soon(self._miss_server)
            while not self.course.is_over():
                due = min(self.check(), self.course.due)
                await self._carry_out(calls)
                if self.course.is_over():
                    break
                await self._receive(due)
                self.course.tick(self.now())
            await self._write()
            calls.cancel_scope.cancel(reason="the session is over")
        left = receive_batch_nowait(self.inbox, inf)
        self._wishes.close([item for item in left if isinstance(item, Wish)])
        if self.course.end is None:
            raise AssertionError("over without an end")
        return self.course.end

    async def _miss_server(self) -> None:
        """Nobody starts it again: the session will never end by itself."""
        await self.lease.given_up.wait()
        await self.own.send(Gone(self.lease.why()))

    async def _receive(self, due: float) -> None:
        """One input, and what else is there."""
        due = min(due, self.course.due)
        patience = inf if due == inf else max(due - self.now(), 0.0)
        with trio.move_on_after(patience):
            self._take(await self.inbox.receive())
        for _ in range(_BATCH):
            try:
                item = self.inbox.receive_nowait()
            except trio.WouldBlock:
                return
            self._take(item)

    def _take(self, item: FollowedInput) -> None:
        course, now = self.course, self.now()
        match item:
            case Connected(boot=boot):
                course.connect(boot, now)
            case Disconnected(why=why):
                course.disconnect(why, now)
            case Missing(count=count):
                course.miss(count, now)
            case Envelope():
                course.hear(item, item.at or now)
            case Snapshot():
                course.see(item, now)
            case Gone(why=why):
                course.forsake(why, now)
            case Sent():
                course.sent(item.message, item.error, item.kind, now)
            case Note():
                self._notes.append(item)
            case Wish():
                self._wishes.take(item, course, now)
            case Wake():
                pass
            case _:
                assert_never(item)

    def hurry(self, give_up_at: float) -> None:
        """The end is asked for: wait for the disk until then, on trio's clock, but as long as one that works needs."""
        self._give_up_at = min(self._give_up_at, give_up_at)
        self._writing.deadline = max(self._give_up_at, trio.current_time() + _WRITE)

    async def _carry_out(self, calls: trio.Nursery) -> None:
        deeds = self.course.take_deeds()
        await self._write()
        self._wishes.tell()
        for deed in deeds:
            calls.start_soon(self._do, deed)
        while self._notes:
            calls.start_soon(self._send_note, self._notes.pop(0))

    async def _write(self) -> None:
        """To the log, the spool and the journal, in this order: what a later callboard finds in the log it knows."""
        course = self.course
        entries, texts, events = course.entries[:], "".join(course.texts), course.events[:]
        for kept in (course.entries, course.texts, course.events):
            kept.clear()
        for entry in entries:
            self.log.add(entry)
        if self.log.waits:
            await trio.to_thread.run_sync(self.log.flush, limiter=self.limiter)
        if texts:
            await self.write_text(texts.encode("utf-8", "replace"))
        for event in events:
            await self.reports.send(SessionReport(attempt=self.attempt, event=event))

    async def write_text(self, data: bytes) -> None:
        """To the spool. What its disk has not taken at the end of all patience is told as lost."""
        before = self.spool.size
        with trio.CancelScope() as self._writing:
            self.hurry(self._give_up_at)
            await self.spool.write(data)
        if self._writing.cancelled_caught:
            lost = len(data) - (self.spool.size - before)
            why = "the disk did not take it until the end"
            await self.reports.send(
                Missed(attempt=self.attempt, stream="session", offset=self.spool.size, lost=lost, why=why)
            )

    async def _do(self, deed: Deed) -> None:
        match deed:
            case SendPrompt():
                await self.own.send(await self._prompt(deed))
            case Abort():
                await self._insist(lambda: self.lease.client.abort(self.course.fold.session), "abort")
            case Answer():
                refused = await self._insist(lambda: self._answer(deed), f"answer of {deed.id}")
                self._wishes.answered(deed.id, refused)
            case Look():
                await self.lease.router.send(Reconcile(self.course.fold.session))
            case _:
                assert_never(deed)

    async def _prompt(self, deed: SendPrompt) -> Sent:
        try:
            await self.lease.client.prompt(self.course.fold.session, deed.body)
        except ServerError as error:
            return Sent(deed.message, str(error), error.kind)
        return Sent(deed.message)

    def take_word(self, word: Note | Wish) -> None:
        try:
            self.own.send_nowait(word)
        except trio.WouldBlock:
            reply(word.answer, OrderAnswer(error=SpawnError("it has too much to do; try again", "EAGAIN")))

    async def _send_note(self, note: Note) -> None:
        """Source: opencode 1.18, ``POST /session/{id}/prompt_async`` with ``noReply``."""
        body = msgspec.json.encode({"noReply": True, "parts": [{"type": "text", "text": note.text}]})
        try:
            await self.lease.client.prompt(self.course.fold.session, body)
        except ServerError as error:
            reply(note.answer, OrderAnswer(error=SpawnError(str(error), "EIO")))
        else:
            reply(note.answer, OrderAnswer(msgspec.json.encode(Written(len(note.text.encode())))))

    async def _answer(self, answer: Answer) -> None:
        client = self.lease.client
        if answer.question:
            await client.reject_question(answer.id, directory=self.directory)
            return
        reply: Literal["once", "always", "reject"] = "reject" if not answer.allow else "once"
        reply = "always" if answer.always else reply
        await client.reply_permission(
            answer.id, reply, answer.message, session=answer.session, directory=self.directory
        )

    async def _insist(self, call: Callable[[], Awaitable[None]], what: str) -> str:
        """Until the server has it, or somebody else was faster: then return what it says."""
        while True:
            try:
                await call()
            except ServerError as error:
                logger.info("%s: %s: %s", self.course.fold.session, what, error)
                if error.kind in _ANSWERED:
                    return str(error)
                await trio.sleep(_PAUSE)
                continue
            return ""
