"""Hands a command of the queue to its worker, once, and says what came of that."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import trio

from actors.asking import ask_worker
from actors.commander import Commander, RefusedError
from actors.keyboard import LONGEST_TEXT
from actors.orders import AddPrompt, Answer, Order, ReplyPermission, SendInput
from protocols.attempt_view import AttemptView
from protocols.commands import RestartTask, SignalWorker
from protocols.errors import SpawnError
from protocols.ids import WorkerId
from protocols.keeper_inputs import Prompted, Written
from protocols.layout import streams_of
from protocols.queued import Approve, Queued, Restart, SendKeys, SendSignal, SendText

__all__ = ["Delivery", "Outcome", "is_harmless"]

_SESSION = 25.0  # seconds; its server may have much to do
_BETWEEN = 0.2  # seconds between a text and Enter: what comes in one piece looks pasted, and Enter is then a line end
_LATER = frozenset(("EAGAIN", "ESRCH"))  # it does not read now, or is just not there: another try may do better


class Outcome(NamedTuple):
    state: Literal["arrived", "missed", "failed"]
    """``missed``: it is sure not to have arrived, and another try may do better."""
    why: str = ""
    """Of what arrived: what proves that the worker took it; empty where that is still to be seen."""
    mark: int | None = None
    """See `protocols.queued.Queued`."""
    done: bool = False
    """All that it was for has happened."""


def is_harmless(row: Queued, attempt: AttemptView) -> bool:
    """To hand it over twice comes to the same as once: a session knows its prompts and what it asked for."""
    return attempt.source == "session" and isinstance(row.new.action, SendText | Approve)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    orders: trio.MemorySendChannel[Order]
    commander: Commander

    async def deliver(self, row: Queued, attempt: AttemptView) -> Outcome:
        """To this attempt, which ran a moment ago."""
        match row.new.action:
            case SendText() if attempt.source == "session":
                return await self._prompt(row, row.new.action)
            case SendText() | SendKeys():
                return await self._type(row, attempt)
            case Approve() as approve:
                return await self._reply(row, approve)
            case SendSignal(signal=signal):
                return await self._carry_out(SignalWorker(task=row.task, signal=signal), f"SIG{signal} was sent")
            case Restart(grace=grace):
                return await self._carry_out(RestartTask(task=row.task, grace=grace), "its next attempt has begun")

    async def _type(self, row: Queued, attempt: AttemptView) -> Outcome:
        if len(_bytes(row)) > LONGEST_TEXT:
            return Outcome("failed", f"longer than {LONGEST_TEXT} bytes; put it in a file and name that")
        for number, part in enumerate(_parts(row, terminal="terminal" in streams_of(attempt.source))):
            if number:
                await trio.sleep(_BETWEEN)
            outcome = await self._write(row, part)
            if outcome.state != "arrived":
                return outcome if not number else Outcome("failed", f"typed, and Enter did not arrive: {outcome.why}")
        return Outcome("arrived")

    async def _write(self, row: Queued, data: bytes) -> Outcome:
        answer = await ask_worker(self.orders, lambda send: SendInput(WorkerId(row.task), row.attempt, data, send))
        if answer.error is not None:
            return _refused(answer)
        written = msgspec.json.decode(answer.ok, type=Written).written
        if written == len(data):
            return Outcome("arrived")
        return Outcome("failed", f"it took only {written} of {len(data)} bytes, as it does not read")

    async def _prompt(self, row: Queued, text: SendText) -> Outcome:
        answer = await ask_worker(
            self.orders, lambda send: AddPrompt(WorkerId(row.task), row.attempt, row.id, text.text, send), _SESSION
        )
        if answer.error is not None:
            return _refused(answer)
        return Outcome("arrived", mark=msgspec.json.decode(answer.ok, type=Prompted).number)

    async def _reply(self, row: Queued, approve: Approve) -> Outcome:
        answer = await ask_worker(
            self.orders,
            lambda send: ReplyPermission(
                WorkerId(row.task), row.attempt, approve.permission, approve.reply, approve.message, send
            ),
            _SESSION,
        )
        return Outcome("arrived", "its server has the reply") if answer.error is None else _refused(answer)

    async def _carry_out(self, command: SignalWorker | RestartTask, proof: str) -> Outcome:
        try:
            await self.commander.carry_out(command)
        except RefusedError as error:
            return Outcome("failed", str(error))
        return Outcome("arrived", proof, done=True)


def _parts(row: Queued, *, terminal: bool) -> list[bytes]:
    data, enter = _bytes(row), isinstance(row.new.action, SendText) and row.new.action.enter
    parts = [data, b"\r" * enter] if terminal else [data + b"\n" * enter]
    return [part for part in parts if part]


def _bytes(row: Queued) -> bytes:
    match row.new.action:
        case SendText(text=text):
            return text.encode()
        case SendKeys(data=data):
            return data
        case _:
            return b""


def _refused(answer: Answer) -> Outcome:
    error = answer.error
    if isinstance(error, SpawnError) and error.code in _LATER:
        return Outcome("missed", str(error))
    return Outcome("failed", str(error))
