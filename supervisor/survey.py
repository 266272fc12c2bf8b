"""What can be said about a plan without running it: waves, the critical path, environments."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from actors.screens import can_read_screens
from protocols.durations import format_duration
from protocols.environment import withheld_environment, worker_environment
from protocols.graph import critical_path, waves
from protocols.ids import TaskId
from protocols.kinds import Source
from protocols.layout import streams_of
from protocols.needs import Condition
from protocols.plan import OnFailure, Plan, Task
from protocols.wording import escaped
from supervisor.plan_texts import shell_notes
from supervisor.session_survey import SessionSurvey, render_sessions, survey_sessions
from supervisor.terminal_view import INSTALL_TERM

__all__ = ["Survey", "render", "survey"]


class Slowest(msgspec.Struct, frozen=True):
    """The chain of tasks whose timeouts add up to the most."""

    tasks: tuple[TaskId, ...]
    seconds: float


class Environment(msgspec.Struct, frozen=True):
    """The names of variables, never their values, for the tasks that agree in all of them."""

    tasks: tuple[TaskId, ...]
    passed: tuple[str, ...]
    set: tuple[str, ...]
    withheld: tuple[str, ...]


class Followed(msgspec.Struct, frozen=True):
    """A log file that a task follows."""

    task: TaskId
    path: str
    appear_within: float
    until: str
    command: bool
    """It runs one besides."""


class FoundRole(msgspec.Struct, frozen=True):
    """What a task is about, as its words tell."""

    task: TaskId
    role: str
    """Empty where they do not."""
    reason: str
    timeout: float | None = None
    """What nobody wrote: it comes with the role."""


class Given(msgspec.Struct, frozen=True):
    """The output of a task."""

    task: TaskId
    where: str
    """A path, or what of the task it is."""
    schema: str
    used_by: tuple[TaskId, ...]
    """Those whose templates name it."""


class Order(msgspec.Struct, frozen=True):
    """What besides its place in the plan says when a task starts."""

    task: TaskId
    priority: int
    labels: tuple[str, ...]
    on: dict[TaskId, Condition]
    """What is to have become of its needs, where that is not success."""


class FanOut(msgspec.Struct, frozen=True):
    """A task that stands for one task for each item of an output."""

    task: TaskId
    source: TaskId
    path: str
    key: str
    """Empty: the item itself."""
    limit: int


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """A plan at a glance. A JSON object of this shape is what ``check --json`` prints."""

    plan: str
    tasks: int
    concurrency: int
    role_concurrency: dict[str, int]
    waves: tuple[tuple[TaskId, ...], ...]
    critical_path: tuple[TaskId, ...]
    slowest: Slowest | None
    """None where some task has no timeout."""
    environments: tuple[Environment, ...]
    notes: tuple[str, ...] = ()
    """What will not be as somebody may expect, though the plan can run."""
    logfiles: tuple[Followed, ...] = ()
    sessions: tuple[SessionSurvey, ...] = ()
    roles: tuple[FoundRole, ...] = ()
    """Of tasks for which the plan names none."""
    outputs: tuple[Given, ...] = ()
    label_concurrency: dict[str, int] = {}
    orders: tuple[Order, ...] = ()
    """Of the tasks of which there is something to tell."""
    on_failure: OnFailure = "continue"
    fan_outs: tuple[FanOut, ...] = ()


def survey(plan: Plan, file: str, base: Mapping[str, str], notes: Iterable[str] = ()) -> Survey:
    """Look at a plan that would run under the environment ``base``. ``notes``: what is known of it besides."""
    needs = plan.needs()
    return Survey(
        plan=escaped(file),
        tasks=len(plan.tasks),
        concurrency=plan.concurrency,
        role_concurrency=plan.role_concurrency,
        waves=waves(needs),
        critical_path=critical_path(needs),
        slowest=_find_slowest(plan),
        environments=_group_environments([task for task in plan.tasks if task.command], base),
        logfiles=tuple(
            Followed(task.id, escaped(log.path), log.appear_within, escaped(log.until), bool(task.command))
            for task in plan.tasks
            if (log := task.logfile) is not None
        ),
        sessions=survey_sessions(plan.tasks),
        roles=tuple(_find_roles(plan)),
        outputs=tuple(
            Given(
                task=task.id,
                where=escaped(output.label),
                schema=escaped(output.schema),
                used_by=tuple(
                    other.id
                    for other in plan.tasks
                    if task.id in other.uses or (other.for_each is not None and task.id == other.for_each.source)
                ),
            )
            for task in plan.tasks
            if (output := task.output) is not None
        ),
        label_concurrency=plan.label_concurrency,
        orders=tuple(
            Order(task.id, task.priority, task.labels, task.on)
            for task in plan.tasks
            if task.priority or task.labels or task.on
        ),
        on_failure=plan.on_failure,
        fan_outs=tuple(
            FanOut(task.id, each.source, escaped(each.path), escaped(each.key), each.limit)
            for task in plan.tasks
            if (each := task.for_each) is not None
        ),
        notes=(*_notes(plan), *map(escaped, notes)),
    )


def _find_roles(plan: Plan) -> Iterator[FoundRole]:
    for task in plan.tasks:
        if task.role_reason:
            yield FoundRole(task.id, task.role or "", task.role_reason, task.timeout if task.unsaid_timeout else None)


def _notes(plan: Plan) -> Iterator[str]:
    if any("terminal" in streams_of(task.source) for task in plan.tasks) and not can_read_screens():
        yield f"what is asked on the terminals of its tasks will not be seen; for that, {INSTALL_TERM}"
    yield from shell_notes(plan.tasks)


def _find_slowest(plan: Plan) -> Slowest | None:
    weights = {task.id: task.timeout * (1 + task.retries) for task in plan.tasks if task.timeout is not None}
    if len(weights) < len(plan.tasks):
        return None
    path = critical_path(plan.needs(), weights)
    return Slowest(path, sum(weights[task] for task in path))


def _group_environments(tasks: Iterable[Task], base: Mapping[str, str]) -> tuple[Environment, ...]:
    groups: dict[tuple[frozenset[str], tuple[str, ...], Source], list[Task]] = {}
    for task in tasks:
        groups.setdefault((frozenset((*task.env, *task.secrets)), task.pass_env, task.source), []).append(task)
    return tuple(_describe_environment(group, base) for group in groups.values())


def _describe_environment(group: list[Task], base: Mapping[str, str]) -> Environment:
    task = group[0]
    return Environment(
        tasks=tuple(task.id for task in group),
        passed=_names(worker_environment(task, base).keys() - task.env.keys() - task.secrets.keys()),
        set=_names((*task.env, *task.secrets)),
        withheld=_names(withheld_environment(task, base)),
    )


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(escaped(name) for name in sorted(names))


def render(found: Survey, width: int = 100) -> str:
    """The same as text, in lines of at most ``width`` columns where words allow that."""
    caps = "".join(f", {limit} of role {role}" for role, limit in found.role_concurrency.items())
    caps += "".join(f", {limit} labelled {label}" for label, limit in found.label_concurrency.items())
    size = f"{_count(found.tasks, 'task')} in {_count(len(found.waves), 'wave')}"
    lines = [_wrap(f"{found.plan}: ", f"{size}, at most {found.concurrency} at once{caps}", width)]
    lines.extend(_wrap(f"wave {number}: ", ", ".join(wave), width) for number, wave in enumerate(found.waves, 1))
    lines.append(_wrap("critical path: ", " → ".join(found.critical_path), width))
    if found.on_failure == "stop":
        lines.append("on failure: the first one that is not allowed stops the run")
    lines.extend(_wrap(f"{each.task} is: ", _render_fan_out(each), width) for each in found.fan_outs)
    lines.extend(_wrap(f"order of {each.task}: ", _render_order(each), width) for each in found.orders)
    if found.slowest:
        longest = format_duration(found.slowest.seconds)
        lines.append(_wrap(f"longest by timeouts ({longest}): ", " → ".join(found.slowest.tasks), width))
    lines.extend(_wrap(f"{each.task} follows: ", _render_followed(each), width) for each in found.logfiles)
    lines.extend(_wrap(f"{each.task} gives: ", _render_given(each), width) for each in found.outputs)
    lines.extend(_wrap(label, text, width) for label, text in render_sessions(found.sessions))
    lines.extend(_wrap(label, text, width) for label, text in _render_roles(found.roles))
    for group in found.environments:
        lines.extend(_render_environment(group, width, alone=len(found.environments[0].tasks) == found.tasks))
    lines.extend(_wrap("note: ", note, width) for note in found.notes)
    return "\n".join(lines)


def _render_roles(found: Iterable[FoundRole]) -> Iterator[tuple[str, str]]:
    """Those without a role together, as far as they have none for the same reason."""
    without: dict[str, list[str]] = {}
    for each in found:
        if not each.role:
            without.setdefault(each.reason, []).append(each.task)
            continue
        timeout = "" if each.timeout is None else f", timeout {format_duration(each.timeout)}"
        yield f"role of {each.task}: ", f"{each.role}{timeout} (detected: {each.reason})"
    for reason, tasks in without.items():
        yield f"role of {', '.join(tasks)}: ", f"none ({reason})"


def _render_order(order: Order) -> str:
    wanted = [f"when {need} has {'failed' if on == 'failure' else 'ended'}" for need, on in order.on.items()]
    priority = [f"priority {order.priority}"] if order.priority else []
    return ", ".join([*wanted, *priority, *(f"label {label}" for label in order.labels)])


def _render_fan_out(each: FanOut) -> str:
    key = f"named by {each.key}" if each.key else "which are their own names"
    return f"one task for each of the items at {each.path} of {each.source}, {key}, at most {each.limit}"


def _render_followed(log: Followed) -> str:
    parts = [log.path, f"which has to appear within {format_duration(log.appear_within)}"]
    if log.until:
        parts.append(f"until it gets the line {log.until}")
    if not log.command:
        parts.append("and runs nothing")
    return ", ".join(parts)


def _render_given(given: Given) -> str:
    schema = f", checked by {given.schema}" if given.schema else ""
    return f"{given.where}{schema}, to {', '.join(given.used_by) or 'nobody yet'}"


def _render_environment(group: Environment, width: int, *, alone: bool) -> Iterable[str]:
    yield _wrap("environment of ", "all tasks" if alone else ", ".join(group.tasks), width)
    for label, names in (("passed", group.passed), ("set", group.set), ("withheld", group.withheld)):
        yield _wrap(f"  {label}: ", ", ".join(names) or "none", width)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _wrap(label: str, text: str, width: int) -> str:
    return textwrap.fill(
        text,
        width=width,
        initial_indent=label,
        subsequent_indent=" " * (len(label) - len(label.lstrip()) + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
