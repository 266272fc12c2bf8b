"""Bringing a person to the pane of tmux in which a worker runs."""

import os
import shutil
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from protocols.attempt_view import AttemptView
from protocols.errors import InputError
from protocols.ids import TaskId
from protocols.pane import WorkerPane
from protocols.wording import quote
from supervisor.fleets import Fleet
from supervisor.following import Log

__all__ = ["attach_command", "find_pane"]


def find_pane(fleet: Fleet, task: TaskId) -> WorkerPane:
    """Where the last attempt of a task is to be seen. Raise `InputError` where it is nowhere, or not any more."""
    log = Log(fleet, task)
    log.check()
    attempt = log.attempt()
    name = f"task {quote(task)}"
    if attempt is None or attempt.source != "tmux":
        source = "" if attempt is None else f', its source is "{attempt.source}"'
        raise InputError(f"{name}: it runs in no tmux{source}; see: callboard logs {fleet.name} {task} --follow")
    if attempt.exited is not None:
        raise InputError(f"{name}: {_ended(attempt)}; see: callboard logs {fleet.name} {task}")
    if attempt.pane is None:
        raise InputError(f"{name}: its pane is not there yet; try again")
    if not _answers(attempt.pane.socket):
        raise InputError(f"{name}: no tmux server answers at {attempt.pane.socket}; see: callboard status {fleet.name}")
    return attempt.pane


def attach_command(pane: WorkerPane, environ: Mapping[str, str]) -> list[str]:
    """What to run in a terminal. Raise `InputError` with what to do where that cannot work."""
    program = shutil.which("tmux", path=environ.get("PATH", os.defpath))
    if program is None:
        raise InputError("tmux is not installed; install it")
    inside = environ.get("TMUX", "").rpartition(",")[0].rpartition(",")[0]
    if not inside:
        return [program, "-S", pane.socket, "attach-session", "-t", pane.session]
    if _is_same(inside, pane.socket):
        return [program, "-S", pane.socket, "switch-client", "-t", pane.session]
    raise InputError("you are inside another tmux; leave it first (C-b d), or run this in another terminal")


def _ended(attempt: AttemptView) -> str:
    return "it did not start" if attempt.started is None else "it has ended"


def _answers(path: str) -> bool:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        try:
            connection.connect(path)
        except OSError:
            return False
    return True


def _is_same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False
