"""What a person wants done, asked of the supervisor that lives in a state folder."""

from collections.abc import Callable
from pathlib import Path

from protocols.commands import CancelTask, Done, RestartTask, RetryTask, SpawnWorker, StopTask, SubmitRun
from protocols.errors import InputError
from protocols.port_params import TaskListParams, Wanted
from protocols.port_results import WorkerLine
from protocols.states import OPEN
from protocols.wording import did_you_mean, quote
from supervisor.client import Client
from supervisor.port_access import ask_port
from supervisor.up_state import is_up

__all__ = ["cancel_named", "kill_worker", "restart_worker", "retry_named", "spawn_worker", "stop_worker", "submit_plan"]


def stop_worker(state: Path, command: StopTask) -> Done | None:
    """None: no supervisor lives here, or it has no worker of this name. Raise as `ask_port` does."""

    async def stop(client: Client) -> Done | None:
        return await client.stop(command) if command.task in await _tasks(client) else None

    return ask_port(state, stop) if is_up(state) else None


def kill_worker(state: Path, task: str) -> Done:
    return ask_port(state, lambda client: client.kill(task))


def restart_worker(state: Path, command: RestartTask) -> Done:
    return ask_port(state, lambda client: client.restart(command))


def cancel_named(state: Path, command: CancelTask) -> Done:
    """Its ``task`` may be the id of a run too."""

    async def cancel(client: Client) -> Done:
        is_task = await _is_task(client, command.task)
        return await (client.cancel(command) if is_task else client.cancel_run(command))

    return ask_port(state, cancel)


def retry_named(state: Path, command: RetryTask) -> Done:
    """Its ``task`` may be the id of a run too."""

    async def retry(client: Client) -> Done:
        is_task = await _is_task(client, command.task)
        return await (client.retry(command) if is_task else client.resume_run(command))

    return ask_port(state, retry)


def spawn_worker(state: Path, command: SpawnWorker, tell: Callable[[str], None], *, wait: bool) -> WorkerLine | None:
    """``tell`` is called with its name once it is there. To wait is for its end: return how it stands then."""

    async def spawn(client: Client) -> WorkerLine | None:
        done = await client.spawn(command)
        tell(done.task)
        return await _wait_over(client, done.task) if wait else None

    return ask_port(state, spawn)


def submit_plan(state: Path, command: SubmitRun, tell: Callable[[str], None], *, wait: bool) -> WorkerLine | None:
    """As `spawn_worker`."""

    async def submit(client: Client) -> WorkerLine | None:
        done = await client.submit(command)
        tell(done.task)
        return await _wait_over(client, done.task) if wait else None

    return ask_port(state, submit)


async def _tasks(client: Client) -> set[str]:
    return {line.task for line in (await client.tasks(TaskListParams())).tasks}


async def _is_task(client: Client, name: str) -> bool:
    """Or else a run. Raise InputError where it is neither."""
    tasks = await _tasks(client)
    if name in tasks:
        return True
    if name in {known for line in (await client.runs()).runs for known in (line.run, line.task)}:
        return False
    raise InputError(f"task {quote(name)}: there is none{did_you_mean(name, tasks) or '; see: callboard ps --all'}")


async def _wait_over(client: Client, task: str) -> WorkerLine:
    """Each change of a task is a reason to look again."""
    async with client.subscribe(Wanted(topics=("task",))) as changes:
        while (line := await client.worker(task)).status in OPEN:
            await anext(changes)
        return line
