"""Loads a plan from disk and finds everything it names: folders, commands, files."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import msgspec

from actors.tmux_program import tmux_problem
from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.instances import Bounds, Handover
from protocols.layout import FleetFolder
from protocols.manifest import find_manifest
from protocols.plan import Plan, Task
from protocols.plan_parser import parse_plan
from protocols.templates import path_texts
from protocols.wording import escaped, quote
from supervisor.input_files import decode_input, read_input
from supervisor.instance_plans import bound, check_bounds, find_cuts, place_instance, use_given
from supervisor.path_problems import file_problem, find_command, folder_problem, stdin_problem
from supervisor.plan_spaces import load_files, place_workspace, worktree_problems
from supervisor.plan_texts import load_schemas, resolve_templates
from supervisor.secrets import Secrets, place_secrets, read_all

__all__ = ["LoadedPlan", "load_plan", "make_durable"]


class LoadedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that can run here and now."""

    plan: Plan
    """With absolute paths: ``cwd``, a file for stdin, ``logfile``, ``progress_file``."""
    executables: dict[TaskId, str]
    """The absolute path of the command of each task that has one. The arguments stay as they were written."""
    source: bytes
    """The file as it was."""
    manifest: bytes | None = None
    """The manifest that it names, as it was."""
    secrets: Secrets = msgspec.field(default_factory=Secrets)
    """What tasks and agents name, for their environments alone."""
    schemas: dict[str, bytes] = {}
    """The JSON Schemas of outputs and the templates of files, by their absolute paths."""
    bounds: Bounds | None = None
    """What it may do at most, where it is that of an instance."""
    handover: Handover | None = None
    """What that instance was told."""
    cuts: tuple[str, ...] = ()
    """What it and the plans of its instances say and may not."""


def load_plan(
    path: Path,
    start: Path,
    *,
    base: Mapping[str, str] | None = None,
    grace: float = 10.0,
    leave: Collection[TaskId] = (),
    kept: FleetFolder | None = None,
    bounds: Bounds | None = None,
) -> LoadedPlan:
    """Read a plan. Relative paths count from ``start``, ``base`` (our environment) gives PATH.

    ``grace`` seconds apply where the plan says none. Raises PlanError with every mistake; what the
    tasks name is looked up once the plan itself has none. What the tasks to ``leave`` name may be missing.
    ``kept``: the run that has copies of its schemas. ``bounds``: of the instance whose plan it is.
    """
    source = read_input(start / path, str(path), PlanError)
    return load_source(source, str(path), start, base=base, grace=grace, leave=leave, kept=kept, bounds=bounds)


def load_source(
    source: bytes,
    file: str,
    start: Path,
    *,
    base: Mapping[str, str] | None = None,
    grace: float = 10.0,
    leave: Collection[TaskId] = (),
    kept: FleetFolder | None = None,
    bounds: Bounds | None = None,
) -> LoadedPlan:
    """The same for the bytes of a plan; ``file`` names it in messages."""
    base = os.environ if base is None else base
    plan, manifest = _parse(decode_input(source, file, PlanError), file, start, grace, kept)
    cuts = find_cuts(plan, bounds)
    plan = bound(plan, bounds)
    tasks = tuple(place_secrets(_place(task, start), start, base) for task in plan.tasks)
    secrets, unread = read_all(tasks, base, leave, inner=bounds is not None)
    plan = msgspec.structs.replace(plan, tasks=tasks)
    executables, problems = _look_up(tasks, start, base, leave)
    problems += _agent_problems(tasks, start, base, leave)
    schemas, wrong = load_schemas(tasks, kept, leave)
    tasks, texts, absent = load_files(tasks, kept, leave)
    tasks, unknown = resolve_templates(tasks)
    tasks = tuple(use_given(task) for task in tasks)
    check = partial(load_source, grace=grace)
    excess, below = check_bounds(plan, bounds, check, leave, base=base, secrets=secrets)
    problems += [*unread, *wrong, *absent, *unknown, *(worktree_problems(tasks, base) if kept is None else ()), *excess]
    if problems:
        raise PlanError(*(f"{escaped(file)}: {problem}" for problem in problems))
    plan = msgspec.structs.replace(plan, tasks=tasks)
    return LoadedPlan(
        plan=plan,
        executables=executables,
        source=source,
        manifest=manifest,
        secrets=secrets,
        schemas={**schemas, **texts},
        bounds=bounds,
        cuts=(*cuts, *below),
    )


def _parse(text: str, path: str, start: Path, grace: float, kept: FleetFolder | None) -> tuple[Plan, bytes | None]:
    """The plan, and the manifest that it names. Raise PlanError."""
    named, manifest = find_manifest(text), None
    if named:
        place = start / named if kept is None else kept.manifest
        manifest = read_input(place, named, PlanError)
    return parse_plan(text, path, grace=grace, manifest=manifest), manifest


def make_durable(loaded: LoadedPlan) -> LoadedPlan:
    """The same plan with workers that all go on without their supervisor."""
    tasks = tuple(msgspec.structs.replace(task, durable=True) for task in loaded.plan.tasks)
    return msgspec.structs.replace(loaded, plan=msgspec.structs.replace(loaded.plan, tasks=tasks))


def _place(task: Task, start: Path) -> Task:
    own = task.workspace.kind != "shared"
    here = Path() if own else start  # of what belongs to its workspace, which is not there yet
    stdin = task.stdin
    if stdin.kind == "file":
        stdin = msgspec.structs.replace(stdin, text=str(start / stdin.text))
    tmux = task.tmux
    if tmux is not None and "/" in tmux.socket:
        tmux = msgspec.structs.replace(tmux, socket=str(start / tmux.socket))
    progress = None if task.progress_file is None else str(here / task.progress_file)
    log = task.logfile
    if log is not None:
        log = msgspec.structs.replace(log, path=str(here / log.path))
    output = task.output
    if output is not None:
        path = str(here / output.path) if output.path else ""
        schema = str(start / output.schema) if output.schema else ""
        output = msgspec.structs.replace(output, path=path, schema=schema)
    space = place_workspace(task.workspace, start) if own else task.workspace
    return msgspec.structs.replace(
        place_instance(task, start),
        cwd=str(here / task.cwd),
        workspace=space,
        output=output,
        stdin=stdin,
        logfile=log,
        tmux=tmux,
        progress_file=progress,
    )


def _look_up(
    tasks: Iterable[Task], start: Path, base: Mapping[str, str], leave: Collection[TaskId]
) -> tuple[dict[TaskId, str], list[str]]:
    """The executable of each task; and what is missing, each thing once, but for the tasks to leave."""
    executables = {}
    missing: dict[tuple[str, str], list[str]] = {}
    find, tmux = cache(find_command), cache(tmux_problem)
    for index, task in enumerate(tasks):
        place, later = task.place(index), dict(path_texts(task))
        own = task.workspace.kind != "shared" or "cwd" in later
        log = None if own or "logfile.path" in later else task.logfile
        if log is not None and (problem := file_problem(log.path, later=True)):
            missing.setdefault(("logfile.path", problem), []).append(place)
        if task.prompting is not None and not own and task.id not in leave and (folder := folder_problem(task.cwd)):
            missing.setdefault(("cwd", folder), []).append(place)
        if not task.command:
            continue
        name, path = task.command[0], task.env.get("PATH", base.get("PATH", os.defpath))
        if own and "/" in name and not name.startswith("/"):
            continue  # of what will be there nobody knows now
        executable, command = find(name, str(start) if own else task.cwd, path)
        executables[task.id] = executable or name
        if task.id in leave:
            continue
        folder = "" if own else folder_problem(task.cwd)
        if folder and "/" in name and not name.startswith("/"):
            command = ""  # it is missing because the folder is
        source = ""
        if task.source == "tmux":
            source = tmux(base.get("PATH", os.defpath))
            command = command if task.tmux is None else ""  # it starts nothing
        stdin = "" if "stdin.file" in later or task.stdin.kind != "file" else stdin_problem(task.stdin.text)
        for key, problem in (("cwd", folder), ("source", source), ("command", command), ("stdin", stdin)):
            if problem:
                missing.setdefault((key, problem), []).append(place)
    return executables, [_describe(key, problem, where) for (key, problem), where in missing.items()]


def _agent_problems(
    tasks: Iterable[Task], start: Path, base: Mapping[str, str], leave: Collection[TaskId]
) -> list[str]:
    """What the agents need that tasks name, those to leave left out: programs, passwords."""
    agents = {
        task.prompting.agent.name: task.prompting.agent
        for task in tasks
        if task.prompting is not None and task.id not in leave
    }
    problems = []
    for name, agent in agents.items():
        if not agent.attach:
            path = agent.env.get("PATH", base.get("PATH", os.defpath))
            _, problem = find_command(agent.command[0], str(start), path)
            if problem:
                problems.append(f"agents.{name}.command: {problem}")
        elif agent.password_env and not base.get(agent.password_env):
            what = f"{quote(agent.password_env)} is not set; set it to the password of {agent.attach}"
            problems.append(f"agents.{name}.password_env: {what}")
    return problems


def _describe(key: str, problem: str, where: Sequence[str]) -> str:
    more = f" (in {len(where)} tasks)" if len(where) > 1 else ""
    return f"{where[0]}.{key}: {problem}{more}"
