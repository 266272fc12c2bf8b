"""The plans of instances, looked at before anything starts; and what an instance may do, put over its own plan."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from protocols.environment import worker_environment
from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.instances import Bounds, Instance, find_excess, narrow
from protocols.plan import Plan, Task
from protocols.secrets import SecretSource
from supervisor.input_files import read_input

__all__ = [
    "Check",
    "bound",
    "callboard_program",
    "check_bounds",
    "check_given",
    "find_cuts",
    "own_bounds",
    "place_instance",
    "use_given",
]

_OUTLIVES = "nothing of an instance goes on without its callboard; remove this key"


class Check(Protocol):
    """Read the plan of an instance as it would be read there: ``base`` is its environment. Raise `PlanError`."""

    def __call__(
        self, source: bytes, file: str, start: Path, *, base: Mapping[str, str], bounds: Bounds
    ) -> "Looked": ...


class Looked(Protocol):
    """A plan that can run."""

    @property
    def cuts(self) -> tuple[str, ...]: ...


def callboard_program() -> str:
    """The command with which instances are started: that of the interpreter that runs us."""
    return str(Path(sys.executable).with_name("callboard"))


def place_instance(task: Task, start: Path) -> Task:
    """With its command, and an absolute path of its plan. A plan that is given has its place once the run has one."""
    instance = task.instance
    if instance is None:
        return task
    plan = str(start / instance.plan) if instance.plan else ""
    command = (callboard_program(), "run", plan or f"plan of {instance.giver}", "--output", "plain")
    return msgspec.structs.replace(task, command=command, instance=msgspec.structs.replace(instance, plan=plan))


def use_given(task: Task) -> Task:
    """What an instance runs is the output of another task."""
    giver = None if task.instance is None else task.instance.giver
    return task if giver is None else msgspec.structs.replace(task, uses=tuple(dict.fromkeys((*task.uses, giver))))


def find_cuts(plan: Plan, bounds: Bounds | None) -> tuple[str, ...]:
    """What `bound` changes of a plan, as far as somebody may wonder."""
    if bounds is None or plan.concurrency <= bounds.concurrency:
        return ()
    return (f"at most {bounds.concurrency} of its tasks run at once, not {plan.concurrency}: it is an instance",)


def bound(plan: Plan, bounds: Bounds | None) -> Plan:
    """The same plan where it asks for no more than it may. None: it is no instance."""
    if bounds is None:
        return plan
    most = bounds.concurrency
    return msgspec.structs.replace(
        plan,
        tasks=tuple(_bound(task, bounds) for task in plan.tasks),
        concurrency=min(plan.concurrency, most),
        role_concurrency={role: min(cap, most) for role, cap in plan.role_concurrency.items()},
        grace=plan.grace if bounds.grace is None else min(plan.grace, bounds.grace),
    )


def _bound(task: Task, bounds: Bounds) -> Task:
    timeout, grace = task.timeout, task.grace
    if bounds.timeout is not None:
        timeout = bounds.timeout if timeout is None else min(timeout, bounds.timeout)
    if bounds.grace is not None:
        grace = min(grace, bounds.grace)
    return msgspec.structs.replace(task, timeout=timeout, grace=grace)


def bounds_of(task: Task, wanted: Instance, plan: Plan, bounds: Bounds | None) -> Bounds:
    """What the instance that this task is may do. ``bounds``: of the run that has the task."""
    return narrow(own_bounds(plan, bounds), wanted, timeout=task.timeout, grace=task.grace)


def own_bounds(plan: Plan, bounds: Bounds | None) -> Bounds:
    """What a run with this plan may do; ``bounds`` where it is an instance."""
    own = bounds or Bounds()
    if plan.standing:  # a run that is submitted is one of its tasks, however many it has itself
        return own
    return msgspec.structs.replace(own, concurrency=min(own.concurrency, plan.concurrency))


@dataclass(slots=True)
class _Checker:
    plan: Plan
    bounds: Bounds | None
    check: Check
    base: Mapping[str, str]
    secrets: Mapping[SecretSource, str]
    cuts: list[str] = field(default_factory=list)
    seen: dict[tuple[str, str, Bounds, frozenset[tuple[str, str]]], list[str]] = field(default_factory=dict)

    def problems(self, task: Task) -> Iterator[tuple[str, str]]:
        """Each with the key that it is about."""
        wanted = task.instance
        if wanted is None:
            return
        excess = [*find_excess(own_bounds(self.plan, self.bounds), wanted)]
        yield from (("instance" + (f".{key}" if key else ""), why) for key, why in excess)
        if not excess and wanted.plan:
            yield from (("instance.plan", line) for line in self._of_plan(task, wanted))

    def _of_plan(self, task: Task, wanted: Instance) -> list[str]:
        inner = bounds_of(task, wanted, self.plan, self.bounds)
        base = worker_environment(task, self.base, self.secrets)
        key = (wanted.plan, task.cwd, inner, frozenset(base.items()))
        if key not in self.seen:
            try:
                source = read_input(Path(wanted.plan), wanted.plan, PlanError)
                found = self.check(source, wanted.plan, Path(task.cwd), base=base, bounds=inner)
                self.cuts += [f"{task.id}: {cut}" for cut in found.cuts]
                self.seen[key] = []
            except PlanError as error:
                self.seen[key] = [*error.problems]
        return self.seen[key]


def check_bounds(
    plan: Plan,
    bounds: Bounds | None,
    check: Check,
    leave: Collection[TaskId],
    *,
    base: Mapping[str, str],
    secrets: Mapping[SecretSource, str],
) -> tuple[list[str], tuple[str, ...]]:
    """What is wrong with the instances of a plan, and with a plan that is to be one: ``bounds`` says what it may do.
    And what is cut of the plans of these instances. ``base``: our environment; ``secrets``: what workers get too."""
    checker = _Checker(plan, bounds, check, base, secrets)
    problems = []
    instances = [task.id for task in plan.tasks if task.instance is not None]
    most = (bounds or Bounds()).fan_out
    if len(instances) > most:
        problems.append(f"tasks: {len(instances)} of them are instances, here there may be {most}; make them fewer")
    for index, task in enumerate(plan.tasks):
        if task.durable and bounds is not None:
            problems.append(f"tasks[{index}].durable: {_OUTLIVES}")
        if task.id not in leave:
            problems += [f"tasks[{index}].{key}: {why}" for key, why in checker.problems(task)]
    return problems, tuple(checker.cuts)


def check_given(
    plan: Plan,
    bounds: Bounds | None,
    check: Check,
    *,
    base: Mapping[str, str],
    secrets: Mapping[SecretSource, str],
) -> Callable[[TaskId, bytes], None]:
    """What tells whether an output is a plan that the instances which are to run it can run. Raises `PlanError`."""
    users: Mapping[TaskId, Sequence[Task]] = {
        task.id: [other for other in plan.tasks if other.instance is not None and other.instance.giver == task.id]
        for task in plan.tasks
    }

    def check_output(giver: TaskId, source: bytes) -> None:
        for task in users.get(giver, ()):
            if task.instance is not None:
                inner = bounds_of(task, task.instance, plan, bounds)
                check(source, "plan", Path(task.cwd), base=worker_environment(task, base, secrets), bounds=inner)

    return check_output
