"""How a run stands, asked of its supervisor where one lives, else of its journal."""

import time
from pathlib import Path

import msgspec
import trio

from actors.keeper_process.procfs import read_process
from actors.unix_socket import is_listening
from protocols.budget_lines import tell_budgets
from protocols.control import RunStatus, run_status
from protocols.durations import format_elapsed
from protocols.errors import UnreachableError
from protocols.session_plain import server_text
from protocols.sizes import format_bytes
from supervisor.fleet_client import open_fleet_client
from supervisor.fleets import Fleet, tell_detached
from supervisor.leaders import find_leaders
from supervisor.sweep import conclude, find_end
from supervisor.table import one_line, render_table
from supervisor.task_text import output_of, tell_task
from supervisor.up_state import find_named
from supervisor.views import read_view

__all__ = ["is_running", "read_status", "render_status", "tell_stopped", "wait_for_port"]

_BEGINNING = 2.0  # from the lock of a run to its open socket; usually a tenth of a second
_PAUSE = 0.05
_ENDED = "it has ended meanwhile; its end is told when the run goes on"


def read_status(state: Path, name: str | None) -> RunStatus:
    """Of a living run its supervisor tells; a dead one is concluded first. Raise InputError, UnreachableError."""
    fleet = find_named(state, name)
    try:
        if fleet.is_alive():
            return trio.run(_ask_status, fleet)
    except UnreachableError:
        if is_running(fleet):
            raise  # it is frozen: what its journal says would be a guess
    conclude(fleet)
    return _dead_status(fleet)


def _dead_status(fleet: Fleet) -> RunStatus:
    """As the journal tells it: of a run that was killed at once it tells nothing, on a full disk not the end."""
    view = read_view(fleet.folder.journal, samples=True)
    status = run_status(view, time.time())
    plan = fleet.identity.plan if fleet.identity is not None else status.plan
    status = msgspec.structs.replace(status, run=fleet.name, plan=plan)
    if status.outcome:
        return status
    if not fleet.is_detached():
        return msgspec.structs.replace(status, outcome="interrupted", servers=())
    living = {pid for pid, start_ticks in find_leaders(view, borrowed=True) if _lives(pid, start_ticks)}
    tasks = tuple(
        line if line.pid is None or line.pid in living else msgspec.structs.replace(line, pid=None, reason=_ENDED)
        for line in status.tasks
    )
    return msgspec.structs.replace(status, tasks=tasks, servers=(), pid=None, detached=tell_detached(fleet))


def _lives(pid: int, start_ticks: int) -> bool:
    process = read_process(pid)
    return process is not None and process.start_ticks == start_ticks and process.alive


async def _ask_status(fleet: Fleet) -> RunStatus:
    await wait_for_port(fleet)
    async with open_fleet_client(fleet.folder.control_socket) as client:
        return await client.status()


async def wait_for_port(fleet: Fleet) -> None:
    """A supervisor that has just begun is not listening yet. Raise UnreachableError for one that is stopped."""
    if stopped := tell_stopped(fleet):
        raise UnreachableError(stopped)
    with trio.move_on_after(_BEGINNING):
        while not is_listening(fleet.folder.control_socket) and is_running(fleet):  # noqa: ASYNC110 - another process
            await trio.sleep(_PAUSE)


def tell_stopped(fleet: Fleet) -> str:
    """That its supervisor is stopped (Ctrl-Z, SIGSTOP, a debugger), and what to do; empty where it is not."""
    process = read_process(fleet.identity.pid) if fleet.identity is not None and fleet.process_lives() else None
    if process is None or process.state not in "Tt":
        return ""
    return (
        f"run {fleet.name}: its supervisor (pid {process.pid}) is stopped, its workers go on; "
        f"continue it with: fg, or kill -CONT {process.pid}"
    )


def is_running(fleet: Fleet) -> bool:
    """Not so while its last lines and its report are written."""
    return fleet.is_alive() and find_end(fleet) is None


def render_status(status: RunStatus, width: int | None) -> str:
    """A head line and a table of the tasks, ``width`` columns wide; None cuts nothing."""
    stands = (
        status.outcome
        or ("detached" if status.detached else "")
        or (f"stopping ({status.stopping})" if status.stopping else "running")
    )
    seconds = "" if status.seconds is None else f", {format_elapsed(status.seconds)}"
    pid = f", pid {status.pid}" if not status.outcome and not status.detached else ""
    plan = f" of {one_line(status.plan)}" if status.plan else ""
    head = f"run {status.run}{plan}: {stands}{seconds}{pid}" + (f"\n{status.detached}" if status.detached else "")
    now = 0.0 if status.started_at is None else status.started_at + (status.seconds or 0.0)
    rows = [
        (
            line.task,
            line.status,
            str(line.attempt or ""),
            "" if line.pid is None else str(line.pid),
            "" if line.seconds is None else format_elapsed(line.seconds),
            format_bytes(output_of(line)) if line.attempt else "",
            "" if line.fraction is None else f"{line.fraction:.0%}",
            "; ".join(part for part in (tell_task(line, now), line.gap) if part),
        )
        for line in status.tasks
    ]
    titles = ("task", "status", "attempt", "pid", "time", "output", "done", "what")
    table = render_table(titles, rows, right=titles[2:7], spare=("pid", "output", "attempt"), width=width)
    servers = "".join(f"\n{one_line(text)}" for each in status.servers if (text := server_text(each)))
    budgets = "".join(f"\n{one_line(text)}" for text in tell_budgets(status.budgets))
    return f"{head}{servers}{budgets}\n\n{table}"
