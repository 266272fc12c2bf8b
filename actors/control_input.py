"""The method ``send`` of a fleet's socket: what a person types for a worker."""

from dataclasses import dataclass

from actors.commander import RefusedError
from actors.keyboard import LONGEST_TEXT
from actors.own_workers import find_worker
from actors.worker_commands import WorkerCommands
from protocols.attempt_view import AttemptView
from protocols.commands import SendToWorker
from protocols.control import SendParams, SendResult
from protocols.ids import FleetId
from protocols.queued import SendKeys, SendText
from protocols.states import RunView
from protocols.wording import did_you_mean, quote

__all__ = ["Inputs"]

_PATIENCE = 10.0  # seconds; with one that does not read there are four tries in four seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The way from the socket to the workers of one fleet."""

    fleet: FleetId
    workers: WorkerCommands

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

    def check_person(self, pid: int) -> None:
        """As `check_command`, and of who might be one too: a worker that could type or reply would approve itself."""
        if find_worker(pid, self.fleet) is not None:
            raise RefusedError(
                "a worker of this run may not type or reply for itself or another one; that is for people"
            )

    async def send(self, params: SendParams, view: RunView, pid: int) -> SendResult:
        """``pid``: of who asks. Raise `RefusedError` where it may not, or where the text did not arrive."""
        self.check_person(pid)
        attempt = _running(params, view)
        if len(params.text.encode("utf-8", "surrogateescape")) > LONGEST_TEXT:
            why = f"longer than {LONGEST_TEXT} bytes; put it in a file and name that"
            raise RefusedError(f"task {quote(params.task)}: {why}")
        command = SendToWorker(
            task=params.task, action=_action(params), attempt=attempt.number, expires=_PATIENCE, until="written"
        )
        await self.workers.carry_out(command, by=f"process {pid}")
        return SendResult(params.task, attempt.number)


def _action(params: SendParams) -> SendText | SendKeys:
    """A text that is no Unicode is sent byte by byte."""
    try:
        params.text.encode()
    except UnicodeEncodeError:
        return SendKeys(data=params.text.encode("utf-8", "surrogateescape") + b"\n" * params.enter)
    return SendText(text=params.text, enter=params.enter)


def _running(params: SendParams, view: RunView) -> AttemptView:
    task = view.tasks.get(params.task)
    if task is None:
        guess = did_you_mean(params.task, view.tasks) or "; see: callboard status"
        raise RefusedError(f"task {quote(params.task)}: there is none in this run{guess}")
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.started is None or attempt.exited is not None:
        raise RefusedError(f"task {quote(params.task)}: it does not run now, it is {task.status}")
    return attempt
