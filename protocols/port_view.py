"""What the port tells of a fleet, made from the records of it. Everything here is a pure look at a `RunView`."""

from collections.abc import Iterator
from typing import Any

import msgspec

from protocols.attempt_view import AttemptView
from protocols.control import TaskLine, task_line
from protocols.ids import RunId
from protocols.layout import FleetFolder, streams_of
from protocols.outcomes import describe_exit
from protocols.port_results import InstanceLine, RunLine, SessionLine, StreamLine, WorkerLine
from protocols.states import RunView
from protocols.task_tree import Leaf, walk
from protocols.wording import did_you_mean, quote

__all__ = [
    "ROOT",
    "UnknownNameError",
    "find_leaf",
    "find_run",
    "folder_of",
    "list_instances",
    "list_runs",
    "list_sessions",
    "list_tasks",
    "list_workers",
    "run_of",
]

ROOT = "."
"""The name of the fleet itself, where tasks that are instances are named."""


class UnknownNameError(Exception):
    """Nothing is called so; the text says what there is."""


def find_leaf(view: RunView, name: str) -> Leaf:
    """The task of this name, in the whole tree. Raise `UnknownNameError`."""
    leaves = {leaf.name: leaf for leaf in walk(view)}
    if (leaf := leaves.get(name)) is None:
        guess = did_you_mean(name, leaves) or "; task.list has all"
        raise UnknownNameError(f"task {quote(name)}: there is none{guess}")
    return leaf


def find_run(view: RunView, name: str) -> str:
    """The name of the task that is the run ``name``: an id, a name of a task that is an instance, or `ROOT`.
    Raise `UnknownNameError`."""
    if name in {ROOT, view.run}:
        return ROOT
    runs = {leaf.name: run_of(view, leaf.name) for leaf in walk(view) if _is_instance(view, leaf)}
    for task, run in runs.items():
        if name in {task, run}:
            return task
    guess = did_you_mean(name, [*runs, *filter(None, runs.values())]) or "; run.list has all"
    raise UnknownNameError(f"run {quote(name)}: there is none{guess}")


def run_of(view: RunView, path: str) -> RunId | None:
    """The id of the run of the instance of this path, ``""`` or `ROOT` for the fleet; None where it has not begun."""
    if path in {"", ROOT}:
        return view.run
    below = view.instances.get(path)
    return None if below is None else below.run


def folder_of(root: FleetFolder, leaf: Leaf) -> FleetFolder:
    """The folder of the run that has this task."""
    for task, run in leaf.way:
        root = root.instance(task).run(run)
    return root


def list_tasks(view: RunView, now: float, run: str | None = None) -> Iterator[tuple[Leaf, TaskLine]]:
    """``now`` in Unix time. ``run``: only those of this run and of what is below. Raise `UnknownNameError`."""
    root = ROOT if run is None else find_run(view, run)
    for leaf in walk(view):
        if root == ROOT or leaf.name.startswith(f"{root}/"):
            yield leaf, task_line(leaf.name, leaf.task, now)


def list_workers(view: RunView, now: float, run: str | None = None) -> Iterator[WorkerLine]:
    """As `list_tasks`."""
    for leaf, line in list_tasks(view, now, run):
        path = leaf.name.rpartition("/")[0]
        attempt = leaf.task.attempts[-1] if leaf.task.attempts else None
        more = {} if attempt is None else _attempt_fields(attempt)
        yield WorkerLine(**msgspec.structs.asdict(line), run=run_of(view, path), role=leaf.task.role, **more)


def _attempt_fields(attempt: AttemptView) -> dict[str, Any]:
    exited = attempt.exited
    streams = streams_of(attempt.source, log=bool(attempt.log), command=bool(attempt.argv))
    return {
        "source": attempt.source,
        "argv": attempt.argv,
        "cwd": attempt.cwd,
        "window": attempt.window,
        "streams": tuple(StreamLine(stream, attempt.output[stream]) for stream in streams),
        "started_at": None if attempt.started is None else attempt.started.at,
        "ended_at": None if exited is None else exited.ended_at,
        "code": None if exited is None else exited.code,
        "signal": None if exited is None else exited.signal,
        "end": "" if exited is None else describe_exit(exited),
    }


def list_runs(view: RunView) -> Iterator[RunLine]:
    """The fleet itself, then the instances below it."""
    yield RunLine(
        run=view.run,
        task=ROOT,
        plan=view.plan,
        status="running" if view.outcome is None else "stopped" if view.outcome == "interrupted" else view.outcome,
        outcome=view.outcome,
        started_at=view.started_at,
        ended_at=view.ended_at,
        counts=view.counts(),
    )
    for each in list_instances(view):
        yield RunLine(
            run=each.run,
            task=each.instance,
            plan=each.plan,
            status=each.status,
            outcome=each.outcome,
            started_at=each.started_at,
            ended_at=each.ended_at,
            counts=each.counts,
        )


def list_instances(view: RunView, root: FleetFolder | None = None) -> Iterator[InstanceLine]:
    """``root``: the folder of the fleet, where folders are to be told."""
    for leaf in walk(view):
        if not _is_instance(view, leaf):
            continue
        below = view.instances.get(leaf.name, RunView())
        attempt = leaf.task.attempts[-1] if leaf.task.attempts else None
        runs = attempt is not None and attempt.started is not None and attempt.exited is None
        folder = ""
        if root is not None and below.run is not None:
            folder = str(folder_of(root, leaf).instance(leaf.task.id).run(below.run).root)
        yield InstanceLine(
            instance=leaf.name,
            run=below.run,
            plan=below.plan,
            status=leaf.task.status,
            attempt=0 if attempt is None else attempt.number,
            pid=below.pid if runs else None,
            version=below.version,
            epoch=below.epoch,
            level=len(leaf.way) + 1,
            folder=folder,
            outcome=below.outcome,
            started_at=below.started_at,
            ended_at=below.ended_at,
            counts=below.counts(),
        )


def list_sessions(view: RunView) -> Iterator[SessionLine]:
    for leaf in walk(view):
        attempt = leaf.task.attempts[-1] if leaf.task.attempts else None
        session = None if attempt is None else attempt.session
        if attempt is None or session is None or session.started is None:
            continue
        yield SessionLine(
            task=leaf.name,
            attempt=attempt.number,
            session=session.started.session,
            server=session.started.server,
            directory=session.started.directory,
            title=session.started.title,
            status=None if session.status is None else session.status.status,
            doing="" if session.status is None else session.status.doing,
            prompts=session.prompts,
            usage=session.usage,
            todos=session.todos,
            ended=session.ended,
        )


def _is_instance(view: RunView, leaf: Leaf) -> bool:
    attempts = leaf.task.attempts
    return bool(attempts and attempts[-1].source == "instance") or leaf.name in view.instances
