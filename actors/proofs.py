"""Finds out whether a worker took what was written to it, and what came of that."""

import os
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
import trio

from actors.asking import ask_worker
from actors.orders import AskUnread, Order
from actors.picture import Picture
from protocols.attempt_view import AttemptView
from protocols.backoff import delays
from protocols.echo import shows
from protocols.errors import SpawnError
from protocols.ids import WorkerId
from protocols.keeper_inputs import Waiting
from protocols.layout import FleetFolder, streams_of
from protocols.queued import Approve, Queued, SendKeys, SendText
from protocols.states import RunView

__all__ = ["Proof", "Proofs"]

_FIRST, _LONGEST = 0.05, 2.0  # seconds between two looks
_MOST = 256 * 1024  # bytes of a terminal that are searched


class Proof(NamedTuple):
    """``open``: nobody will ever know, and it stays as it is."""

    state: Literal["accepted", "done", "failed", "open"]
    why: str = ""


_READ = Proof("accepted", "it has read all of its stdin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    folder: FleetFolder
    orders: trio.MemorySendChannel[Order]
    picture: Picture
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    def mark(self, task: str, attempt: AttemptView) -> int:
        """Where what comes of a command begins: the length of its terminal's spool now. Blocks."""
        path = self.folder.spool(WorkerId(task), attempt.number, "terminal")
        return path.stat().st_size if "terminal" in streams_of(attempt.source) and path.exists() else 0

    async def accepted(self, row: Queued) -> Proof:
        """Of one that is written."""
        attempt = _attempt(row, self.picture.view)
        match row.new.action:
            case Approve():
                return Proof("accepted", "its server has the reply")
            case SendText() if attempt is not None and attempt.source == "session":
                return await self.picture.wait_until(lambda view: _prompted(row, view))
            case SendText() | SendKeys() if attempt is not None:
                terminal = "terminal" in streams_of(attempt.source)
                return await (self._shown(row) if terminal else self._read(row))
            case _:
                return Proof("open")

    async def done(self, row: Queued) -> Proof:
        """Of one that is accepted."""
        match row.new.action:
            case Approve(permission=permission):
                return await self.picture.wait_until(lambda view: _replied(row, permission, view))
            case SendText() if (found := _attempt(row, self.picture.view)) is not None and found.source == "session":
                return await self.picture.wait_until(lambda view: _answered(row, view))
            case _:
                return Proof("done")

    async def _read(self, row: Queued) -> Proof:
        """The bytes are out of the pipe, once nothing is in it: what came behind them was read too then."""
        for pause in delays(_FIRST, _LONGEST):
            if (proof := _left_unread(row, self.picture.view)) is not None:
                return proof
            answer = await ask_worker(self.orders, lambda send: AskUnread(WorkerId(row.task), row.attempt, send))
            if answer.error is None:
                if not msgspec.json.decode(answer.ok, type=Waiting).unread:
                    return _READ
            elif isinstance(answer.error, SpawnError) and answer.error.code == "bad-request":
                return Proof("open")  # an older keeper
            await self._pause(row, pause)
        raise AssertionError("without end")

    async def _shown(self, row: Queued) -> Proof:
        typed = row.new.action.text.encode() if isinstance(row.new.action, SendText) else b""
        typed = row.new.action.data if isinstance(row.new.action, SendKeys) else typed
        path = self.folder.spool(WorkerId(row.task), row.attempt, "terminal")
        for pause in delays(_FIRST, _LONGEST):
            over = _is_over(row, self.picture.view)
            painted = await trio.to_thread.run_sync(_read_part, str(path), row.mark, limiter=self._limiter)
            if shows(painted, typed):
                return Proof("accepted", "its screen shows it")
            if over or len(painted) >= _MOST:
                return Proof("open")
            await self._pause(row, pause)
        raise AssertionError("without end")

    async def _pause(self, row: Queued, seconds: float) -> None:
        """Unless its worker ends before."""
        with trio.move_on_after(seconds):
            await self.picture.wait_until(lambda view: _is_over(row, view) or None)


def _attempt(row: Queued, view: RunView) -> AttemptView | None:
    task = view.tasks.get(row.task)
    return None if task is None else task.attempt(row.attempt)


def _is_over(row: Queued, view: RunView) -> bool:
    attempt = _attempt(row, view)
    return attempt is None or attempt.exited is not None


def _left_unread(row: Queued, view: RunView) -> Proof | None:
    """None while its worker runs."""
    attempt = _attempt(row, view)
    if attempt is not None and attempt.exited is None:
        return None
    left = None if attempt is None or attempt.exited is None else attempt.exited.stdin_unread
    if left is None:
        return Proof("failed", "its worker has ended, and nobody knows whether it had read it")
    return Proof("failed", f"its worker has ended with {left} bytes of its stdin unread") if left else _READ


def _prompted(row: Queued, view: RunView) -> Proof | None:
    attempt = _attempt(row, view)
    session = None if attempt is None else attempt.session
    if session is not None and session.prompts >= row.mark:
        return Proof("accepted", "its server has our message")
    return Proof("failed", "its session ended before it was sent") if _is_over(row, view) else None


def _answered(row: Queued, view: RunView) -> Proof | None:
    attempt = _attempt(row, view)
    session = None if attempt is None else attempt.session
    if session is not None and len(session.ended) >= row.mark:
        ended = session.ended[row.mark - 1]
        why = f"{ended.outcome}: {ended.error}" if ended.error else ended.outcome
        return Proof("done") if ended.outcome == "completed" else Proof("failed", why)
    return Proof("failed", "its session ended before that") if _is_over(row, view) else None


def _replied(row: Queued, permission: str, view: RunView) -> Proof | None:
    attempt = _attempt(row, view)
    waits = attempt is not None and attempt.session is not None and permission in attempt.session.permissions
    return None if waits and not _is_over(row, view) else Proof("done")


def _read_part(path: str, offset: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, _MOST, offset)
    finally:
        os.close(fd)
