"""Signals and sizes of terminals that somebody outside wants for workers: done, and then told in the journal."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import trio

from actors.asking import ask_worker
from actors.commander import RefusedError
from actors.messages import Append
from actors.orders import Answer, Order, ReachWorker, ResizeWorker, SendSignal
from actors.picture import Picture
from protocols.commands import Done, ResizeTerminal, SignalWorker
from protocols.ids import TaskId, WorkerId
from protocols.reached_events import ReachedEvent, WorkerResized, WorkerSignalled
from protocols.states import RunView, TaskView
from protocols.wording import did_you_mean, quote

__all__ = ["Reaching"]

_SIGNALS = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "STOP", "CONT", "WINCH")
_TMUX = 10.0  # seconds; its server may have much to do


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaching:
    """The part of a `Commander` for these. Tasks are named as this fleet knows them."""

    picture: Picture
    orders: trio.MemorySendChannel[Order]
    outbox: trio.MemorySendChannel[Append]
    now: Callable[[], float] = time.time

    async def carry_out(self, task: TaskView, command: SignalWorker | ResizeTerminal) -> Done:
        """Raise `RefusedError`."""
        worker, attempt = WorkerId(task.id), _running(task)
        event: ReachedEvent
        if isinstance(command, SignalWorker):
            name = command.signal.upper().removeprefix("SIG")
            number = _number(name)
            await self._ask(task, lambda send: SendSignal(worker, attempt, number, send))
            event = WorkerSignalled(at=self.now(), worker=worker, attempt=attempt, signal=f"SIG{name}")
        else:
            columns, rows = command.columns, command.rows
            await self._ask(task, lambda send: ResizeWorker(worker, attempt, (columns, rows), send))
            event = WorkerResized(at=self.now(), worker=worker, attempt=attempt, columns=columns, rows=rows)
        return await self._tell(task.id, event)

    async def _ask(self, task: TaskView, order: Callable[[trio.MemorySendChannel[Answer]], ReachWorker]) -> None:
        answer = await ask_worker(self.orders, order, _TMUX)
        if answer.error is not None:
            raise RefusedError(f"task {quote(task.id)}: {answer.error}")

    async def _tell(self, task: TaskId, event: ReachedEvent) -> Done:
        try:
            await self.outbox.send(Append(event))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise RefusedError("done, but the run has ended before that could be told") from error

        def is_told(view: RunView) -> Done | None:
            attempt = view.tasks[task].attempt(event.attempt) if task in view.tasks else None
            if attempt is None or attempt.reached is None or attempt.reached.at < event.at:
                return None
            return Done(task=task, attempt=event.attempt, seq=view.last_seq)

        return await self.picture.wait_until(is_told)


def _running(task: TaskView) -> int:
    """The attempt. Raise `RefusedError`."""
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.exited is not None:  # one that is not told to have started may have
        raise RefusedError(f"task {quote(task.id)}: it does not run now, it is {task.status}")
    return attempt.number


def _number(name: str) -> int:
    """Raise `RefusedError`."""
    if name not in _SIGNALS:
        guess = did_you_mean(name, _SIGNALS) or f"; there are {', '.join(_SIGNALS)}; worker.kill kills"
        raise RefusedError(f"signal {quote(name)}: is not sent to workers{guess}")
    return signal.Signals[f"SIG{name}"].value
