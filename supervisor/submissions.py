"""The tasks that a standing fleet is given while it lives: checked like a plan, and kept on disk before anything else.

Each is a file ``submitted/TASK.json`` in the folder of the run. It counts once the journal has told of the task: one
that was left by a crash before that is removed when the fleet is taken up again.
"""

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from actors.files import replace_file
from protocols.commands import SpawnWorker, SubmitRun
from protocols.errors import InputError, PlanError, StateError
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.plan import Plan, Task
from protocols.plan_roles import name_problem
from protocols.toml_text import write_toml
from protocols.wording import quote
from supervisor.plan_texts import keep_schemas
from supervisor.plans import LoadedPlan, load_source, make_durable
from supervisor.roll import Roll
from supervisor.secrets import keep_fingerprints, named_values, open_redactor
from supervisor.state import state_error

__all__ = ["Submissions", "drop_untold", "load_submitted", "standing_plan"]

logger = logging.getLogger(__name__)

_FILE = "task"
_UNBOUNDED = 1_000_000  # of the tasks of a submitted run: that is what its plan says
_OVERHEAD = 1.25  # an instance gives its tasks a part of its own grace
_LONGEST_NAME = 48  # of those that are made up, without their number


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds."""

    task: dict[str, Any]
    """As a plan writes it in ``[[tasks]]``."""
    cwd: str
    """Relative paths count from there."""


_decoder = msgspec.json.Decoder(Submission)


def standing_plan(concurrency: int, grace: float) -> LoadedPlan:
    """The plan of a standing fleet, without any task."""
    plan = Plan(tasks=(), concurrency=concurrency, grace=grace, standing=True)
    return LoadedPlan(plan=plan, executables={}, source=b"# The tasks of this run are in the folder submitted.\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """Takes tasks in for one fleet (`actors.fleet_commander.Admission`)."""

    folder: FleetFolder
    roll: Roll
    grace: float
    """Seconds, where the task says none."""

    def admit(self, command: SpawnWorker | SubmitRun) -> Task:
        """See `Admission`. Raise InputError, PlanError, StateError."""
        if "\0" in command.cwd:
            raise InputError("cwd: holds a NUL character, which no path can; remove it")
        start = Path(command.cwd)
        if not start.is_absolute():
            raise InputError(f"cwd: {quote(command.cwd)}: write an absolute path")
        if isinstance(command, SubmitRun):
            return self._admit_plan(command, start)
        table = {**command.task}
        table.setdefault("id", self._name_of(table))
        return self._admit(table, start)

    def _admit_plan(self, command: SubmitRun, start: Path) -> Task:
        """A task that is an instance, with the plan beside its file."""
        source = command.plan.encode()
        loaded = load_source(source, command.name, start, grace=self.grace)
        if command.id is not None and (problem := name_problem(command.id)):
            raise InputError(f"id: {problem}")
        name = TaskId(command.id or self._free_name(Path(command.name).stem))
        if self._is_taken(name):
            raise InputError(f"id: there is a task {quote(name)} already; choose another one, or leave it out")
        place = _plan_path(self.folder, name)
        _write(self.folder, place, source)
        try:
            return self._admit(_instance_table(name, place, loaded.plan, start), start)
        except (InputError, PlanError, StateError) as error:
            place.unlink(missing_ok=True)
            if isinstance(error, PlanError):  # it asks for more than an instance may
                here, there = f"instance.plan: {place}: ", f"{command.name}: "
                raise PlanError(*(line.replace(here, there, 1) for line in error.problems)) from error
            raise

    def _admit(self, table: dict[str, Any], start: Path) -> Task:
        loaded = _load(table, start, self.grace)
        (task,) = loaded.plan.tasks
        if task.budget is not None:
            raise PlanError("budget: belongs to a plan; write one with this task and submit that")
        if self._is_taken(task.id):
            raise InputError(f"id: there is a task {quote(task.id)} already; choose another one, or leave it out")
        try:
            keep_schemas(self.folder, loaded.schemas)
        except OSError as error:
            raise state_error(self.folder.root, error) from error
        _write(self.folder, self._path(task.id), msgspec.json.encode(Submission(task=table, cwd=str(start))))
        keep_fingerprints(self.folder, named_values(loaded.plan.tasks, loaded.secrets))
        self.roll.redactor.learn(open_redactor(self.folder))
        self.roll.add(loaded)
        return task

    def drop(self, task: TaskId) -> None:
        """See `Admission`."""
        self._path(task).unlink(missing_ok=True)
        _plan_path(self.folder, task).unlink(missing_ok=True)

    def recall(self, task: TaskId) -> Task:
        """See `Admission`. Raise StateError, PlanError: what it names is looked up anew."""
        known = self.roll.tasks.get(task)
        if known is not None:
            return known
        loaded = _read(self.folder, task, self.grace, leave=False)
        keep_fingerprints(self.folder, named_values(loaded.plan.tasks, loaded.secrets))
        self.roll.redactor.learn(open_redactor(self.folder))
        self.roll.add(loaded)
        return self.roll.tasks[task]

    def _path(self, task: TaskId) -> Path:
        return self.folder.submitted / f"{task}.json"

    def _is_taken(self, task: TaskId) -> bool:
        return task in self.roll.tasks or self._path(task).exists()

    def _name_of(self, table: Mapping[str, Any]) -> str:
        """By its role or its program: ``pytest``, ``pytest-2``."""
        command = table.get("command")
        words = command.split() if isinstance(command, str) else command
        said = table.get("role") or (words[0] if words and isinstance(words, list) else "")
        return self._free_name(Path(str(said)).name)

    def _free_name(self, wanted: str) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip("-._")[:_LONGEST_NAME] or "task"
        number, found = 1, name
        while self._is_taken(TaskId(found)):
            number += 1
            found = f"{name}-{number}"
        return found


def _plan_path(folder: FleetFolder, task: TaskId) -> Path:
    return folder.submitted / f"{task}.toml"


def _write(folder: FleetFolder, path: Path, data: bytes) -> None:
    """It is on disk then. Raise StateError."""
    try:
        folder.submitted.mkdir(mode=0o700, exist_ok=True)
        replace_file(path, data, sync=True)
    except OSError as error:
        raise state_error(folder.root, error) from error


def _instance_table(name: TaskId, place: Path, plan: Plan, start: Path) -> dict[str, Any]:
    """With the environment and the patience that `callboard run` would have."""
    grace = max((task.grace for task in plan.tasks), default=plan.grace)
    return {
        "id": name,
        "cwd": str(start),
        "instance": {"plan": str(place)},
        "pass_env": ["*"],
        "grace": f"{grace * _OVERHEAD + 1:.3f}s",
    }


def load_submitted(folder: FleetFolder, tasks: Iterable[TaskId], concurrency: int, grace: float) -> LoadedPlan:
    """The plan of a standing fleet with these of its tasks, in this order. What they name may be gone: their next
    attempts tell that. Raise StateError for a task whose file cannot be read."""
    whole = standing_plan(concurrency, grace)
    found: list[Task] = []
    for name in tasks:
        loaded = _read(folder, name, grace)
        found += loaded.plan.tasks
        whole.executables.update(loaded.executables)
        whole.secrets.update(loaded.secrets)
    plan = msgspec.structs.replace(whole.plan, tasks=tuple(found))
    return msgspec.structs.replace(whole, plan=plan)


def drop_untold(folder: FleetFolder, told: Collection[TaskId]) -> None:
    """Forget what was to be submitted when the supervisor was killed: nobody was told that it is there."""
    for path in (*folder.submitted.glob("*.json"), *folder.submitted.glob("*.toml")):
        if path.stem not in told:
            logger.warning("task %s was never submitted to its end; %s is removed", path.stem, path)
            path.unlink(missing_ok=True)


def _read(folder: FleetFolder, name: TaskId, grace: float, *, leave: bool = True) -> LoadedPlan:
    path = folder.submitted / f"{name}.json"
    try:
        kept = _decoder.decode(path.read_bytes())
        return _load(kept.task, Path(kept.cwd), grace, leave=[name] if leave else (), kept=folder)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; the run has this task, so put its file back") from error
    except (msgspec.DecodeError, PlanError) as error:
        raise StateError(f"{path}: {error}; it was written by another version of callboard, or changed") from error


def _load(
    table: Mapping[str, object],
    start: Path,
    grace: float,
    *,
    leave: Collection[TaskId] = (),
    kept: FleetFolder | None = None,
) -> LoadedPlan:
    """A plan of one task. Raise PlanError, in the words of the plan parser, without its place."""
    try:
        source = write_toml({"defaults": {"concurrency": _UNBOUNDED}, "tasks": [table]}).encode()
        return make_durable(load_source(source, _FILE, start, grace=grace, leave=leave, kept=kept))
    except ValueError as error:
        raise PlanError(str(error).removeprefix("tasks[0].")) from error
    except PlanError as error:
        prefix = f"{_FILE}: "
        lines = [line.removeprefix(prefix).removeprefix("tasks[0].") for line in error.problems]
        raise PlanError(*lines) from error
