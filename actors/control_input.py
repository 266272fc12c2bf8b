"""The method ``send`` of a fleet's socket: what a person types for a worker."""

from dataclasses import dataclass

import trio

from actors.commander import RefusedError
from actors.keyboard import type_text
from actors.orders import Order
from actors.own_workers import find_worker
from protocols.attempt_view import AttemptView
from protocols.control import SendParams, SendResult
from protocols.ids import FleetId, WorkerId
from protocols.layout import streams_of
from protocols.states import RunView
from protocols.wording import did_you_mean, quote

__all__ = ["Inputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The way from the socket to the workers of one fleet."""

    fleet: FleetId
    orders: trio.MemorySendChannel[Order]

    def check_stop(self, view: RunView, pid: int) -> None:
        """``pid``: of who asks. Raise `RefusedError` where an instance of this run does."""
        ours = find_worker(pid, self.fleet)
        attempts = (attempt for task in view.tasks.values() for attempt in task.attempts)
        if ours is not None and any(each.id == ours and each.source == "instance" for each in attempts):
            raise RefusedError("an instance may not stop the run that started it; that is for people")

    def check_command(self, pid: int) -> None:
        """``pid``: of who asks, 0 if unknown. Raise `RefusedError` where a worker of this run does."""
        if find_worker(pid, self.fleet):
            raise RefusedError("a worker of this run may not command it; that is for people")

    async def send(self, params: SendParams, view: RunView, pid: int) -> SendResult:
        """``pid``: of who asks. Raise `RefusedError` where it may not, or where the text did not arrive."""
        if find_worker(pid, self.fleet):
            raise RefusedError("a worker of this run may not type for itself or another one; that is for people")
        attempt = _running(params, view)
        failed = await type_text(
            self.orders,
            WorkerId(params.task),
            attempt.number,
            params.text.encode("utf-8", "surrogateescape"),
            enter=params.enter,
            terminal="terminal" in streams_of(attempt.source),
        )
        if failed:
            raise RefusedError(f"task {quote(params.task)}: {failed}")
        return SendResult(params.task, attempt.number)


def _running(params: SendParams, view: RunView) -> AttemptView:
    task = view.tasks.get(params.task)
    if task is None:
        guess = did_you_mean(params.task, view.tasks) or "; see: callboard status"
        raise RefusedError(f"task {quote(params.task)}: there is none in this run{guess}")
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.started is None or attempt.exited is not None:
        raise RefusedError(f"task {quote(params.task)}: it does not run now, it is {task.status}")
    return attempt
