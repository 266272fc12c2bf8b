"""Reaches a worker as a person would: types a text and Enter, or interrupts it, and says what did not arrive."""

from typing import Literal, TypeAlias

import msgspec
import trio

from actors.asking import ask_worker
from actors.orders import InterruptWorker, Order, SendInput
from protocols.ids import WorkerId
from protocols.keeper_inputs import Written
from protocols.layout import streams_of
from protocols.plan import Task

__all__ = ["LONGEST_TEXT", "Manner", "interrupt", "manner_of", "tell", "type_text"]

Manner: TypeAlias = Literal["pipe", "terminal", "session"]

LONGEST_TEXT = 4000  # bytes: with its Enter it fits into what a pipe takes at once, and into a line of a terminal
_NOTE = 25.0  # seconds; the server of a session may have much to do
_BETWEEN = 0.2  # seconds between a text and Enter: what comes in one piece looks pasted, and Enter is then a line end


async def type_text(
    orders: trio.MemorySendChannel[Order],
    worker: WorkerId,
    attempt: int | None,
    text: bytes,
    *,
    enter: bool,
    terminal: bool,
) -> str:
    """Return why it did not arrive, or not all of it; empty where it did. ``attempt`` is None for the one that runs.

    A cancellation may leave the text without its Enter.
    """
    if len(text) > LONGEST_TEXT:
        return f"longer than {LONGEST_TEXT} bytes; put it in a file and name that"
    if not terminal:
        return await _send(orders, worker, attempt, text + b"\n" * enter)
    failed = await _send(orders, worker, attempt, text)
    if failed or not enter:
        return failed
    if text:
        await trio.sleep(_BETWEEN)
    return await _send(orders, worker, attempt, b"\r")


def manner_of(task: Task) -> Manner:
    """How a task is told something, if it can be."""
    if task.prompting is not None:
        return "session"
    return "terminal" if "terminal" in streams_of(task.source) else "pipe"


async def tell(
    orders: trio.MemorySendChannel[Order], worker: WorkerId, attempt: int | None, text: str, manner: Manner
) -> str:
    """A word of ours: typed, or sent to the agent of a session, who reads it before its next step. Return why it did
    not arrive; empty where it did."""
    if manner != "session":
        terminal = manner == "terminal"
        return await type_text(orders, worker, attempt, text.encode(), enter=True, terminal=terminal)
    answer = await ask_worker(orders, lambda send: SendInput(worker, attempt, text.encode(), send, note=True), _NOTE)
    return "" if answer.error is None else str(answer.error)


async def interrupt(orders: trio.MemorySendChannel[Order], worker: WorkerId, attempt: int | None) -> str:
    """Return why it did not arrive; empty where it did."""
    answer = await ask_worker(orders, lambda send: InterruptWorker(worker, attempt, send))
    return "" if answer.error is None else str(answer.error)


async def _send(orders: trio.MemorySendChannel[Order], worker: WorkerId, attempt: int | None, data: bytes) -> str:
    if not data:
        return ""
    answer = await ask_worker(orders, lambda send: SendInput(worker, attempt, data, send))
    if answer.error is not None:
        return str(answer.error)
    written = msgspec.json.decode(answer.ok, type=Written).written
    return "" if written == len(data) else f"it took only {written} of {len(data)} bytes, as it does not read"
