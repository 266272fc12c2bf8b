"""What a run would do, without doing it: each task in order, with its texts as its first attempt would get them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from actors.template_preview import preview
from protocols.budget import Budget
from protocols.environment import worker_environment
from protocols.fan_out import ForEach
from protocols.graph import waves
from protocols.ids import TaskId
from protocols.kinds import Source
from protocols.needs import Condition
from protocols.plan import OnFailure, Plan, Task
from protocols.restarts import When
from protocols.retry import Cause
from protocols.templates import replace_texts, template_texts
from supervisor.plans import LoadedPlan

__all__ = ["DryRun", "DryTask", "rehearse"]


class DryEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker gets; of a session, what its server gets where callboard starts that."""

    passed: tuple[str, ...]
    """Names of variables of this environment."""
    set: tuple[str, ...]
    """Names of those that the plan sets."""
    rendered: dict[str, str] = {}
    """Those of them that are templates, with their values. Other values are told nowhere."""


class DrySession(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    server: str
    """The address of one that is there; empty: callboard starts one."""
    model: str
    mode: str
    system: str
    prompts: tuple[str, ...]
    """In the order in which they are sent."""


class DryRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a task starts and ends besides its needs. Durations are seconds; None and empty: nothing is said."""

    on: dict[TaskId, Condition]
    """What is to have become of those needs that need not succeed."""
    for_each: str
    """It stands for a task for each item of an output, which only the run knows; what they are called."""
    priority: int
    labels: tuple[str, ...]
    timeout: float | None
    """For each attempt."""
    unsaid_timeout: bool
    """It comes with a role that nobody wrote."""
    quiet_timeout: float | None
    warn_before: float | None
    retries: int
    retry: dict[Cause, int]
    """Causes of failure that have a number of their own."""
    restart: When
    """A service has no retries."""
    counts_waiting: bool
    budget: Budget | None


class DryTask(msgspec.Struct, frozen=True, kw_only=True):
    id: TaskId
    title: str
    wave: int
    """From 1 on. No more than an order: a task starts as soon as its last need is done."""
    needs: tuple[TaskId, ...]
    role: str
    role_reason: str
    """By what it was found, or none was, where the plan names none."""
    source: Source
    cwd: str
    executable: str
    command: tuple[str, ...]
    """Empty for a session, and where a file is only followed."""
    shell: bool
    session: DrySession | None
    stdin: str
    """``none``, ``pipe``, ``file PATH`` or ``text`` and what is read."""
    workspace: str
    """``shared``: none of its own."""
    instance: str
    """The plan of the callboard that it is, or ``the output of TASK``; empty: it is none."""
    rules: DryRules
    durable: bool
    allow_failure: bool
    output: str
    """What it gives to others; empty: nothing."""
    environment: DryEnvironment
    waits: tuple[str, ...]
    """Keys whose texts are known only when it starts, in whole or in part."""
    problems: tuple[str, ...]
    """Templates of which nothing can come. They would fail the attempt."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of this shape is what ``run --dry-run --output json`` prints."""

    plan: str
    concurrency: int
    role_concurrency: dict[str, int]
    label_concurrency: dict[str, int]
    on_failure: OnFailure
    budget: Budget | None
    """Of the run."""
    role_budgets: dict[str, Budget]
    tasks: tuple[DryTask, ...]
    """In the order in which they could start, if all took equally long."""


def rehearse(loaded: LoadedPlan, file: str, base: Mapping[str, str]) -> DryRun:
    """What would happen under the environment ``base``."""
    plan = loaded.plan
    return DryRun(
        plan=file,
        concurrency=plan.concurrency,
        role_concurrency=plan.role_concurrency,
        label_concurrency=plan.label_concurrency,
        on_failure=plan.on_failure,
        budget=plan.budget,
        role_budgets=plan.role_budgets,
        tasks=tuple(_rehearse(task, wave, loaded.executables.get(task.id, ""), base) for wave, task in _in_order(plan)),
    )


def _in_order(plan: Plan) -> Iterator[tuple[int, Task]]:
    tasks = {task.id: task for task in plan.tasks}
    for number, wave in enumerate(waves(plan.needs()), 1):
        yield from ((number, tasks[task]) for task in wave)


def _rehearse(task: Task, wave: int, executable: str, base: Mapping[str, str]) -> DryTask:
    place = task.cwd if task.workspace.kind == "shared" else f"<its {task.workspace.kind}>"
    known = {"attempt": 1, "last_failure": "", "workspace": place}
    if task.for_each is None:
        known["task"] = task.id
    previews = {key: preview(text, known) for key, text in template_texts(task)}
    shown = replace_texts(task, lambda key, _: previews[key].text)
    return DryTask(
        id=task.id,
        title=task.title,
        wave=wave,
        needs=task.needs,
        role=task.role or "",
        role_reason=task.role_reason,
        source=task.source,
        cwd=place if task.workspace.kind == "shared" else str(Path(place, task.cwd)),
        executable=executable,
        command=shown.command,
        shell=task.shell,
        session=_session(shown),
        stdin=_stdin(shown),
        workspace=task.workspace.kind,
        instance=_instance(task),
        rules=_rules(task),
        durable=task.durable,
        allow_failure=task.allow_failure,
        output="" if task.output is None else task.output.label,
        environment=_environment(task, shown, base),
        waits=tuple(key for key, found in previews.items() if found.waits),
        problems=tuple(f"{key}: {found.problem}" for key, found in previews.items() if found.problem),
    )


def _rules(task: Task) -> DryRules:
    each = task.for_each
    return DryRules(
        on=task.on,
        for_each="" if each is None else _tell_items(task.id, each),
        priority=task.priority,
        labels=task.labels,
        timeout=task.timeout,
        unsaid_timeout=task.unsaid_timeout,
        quiet_timeout=task.terms.quiet_timeout,
        warn_before=task.terms.warn_before,
        retries=task.retries,
        retry=task.retry.counts,
        restart=task.restart.when,
        counts_waiting=task.terms.counts_waiting is not False,
        budget=task.budget,
    )


def _tell_items(task: TaskId, each: ForEach) -> str:
    name = f"{task}[{each.key or 'ITEM'}]"
    return f"a task {name} for each item at {each.path} in the output of {each.source}, at most {each.limit}"


def _instance(task: Task) -> str:
    if task.instance is None:
        return ""
    return task.instance.plan or f"the output of {task.instance.giver}"


def _session(task: Task) -> DrySession | None:
    wanted = task.prompting
    if wanted is None:
        return None
    return DrySession(
        agent=wanted.agent.name,
        server=wanted.agent.attach,
        model=wanted.model,
        mode=wanted.mode,
        system=wanted.system,
        prompts=wanted.prompts,
    )


def _stdin(task: Task) -> str:
    stdin = task.stdin
    return f"{stdin.kind} {stdin.text}" if stdin.kind in {"text", "file"} else stdin.kind


def _environment(task: Task, shown: Task, base: Mapping[str, str]) -> DryEnvironment:
    if task.prompting is None:
        keys = {key for key, _ in template_texts(task)}
        rendered = {name: value for name, value in shown.env.items() if f"env.{name}" in keys}
        return _describe(task, base, rendered)
    agent = task.prompting.agent
    if agent.attach:
        return DryEnvironment(passed=(), set=())
    return _describe(
        msgspec.structs.replace(task, env=agent.env, secrets=agent.secrets, pass_env=agent.pass_env), base, {}
    )


def _describe(task: Task, base: Mapping[str, str], rendered: dict[str, str]) -> DryEnvironment:
    told = task.env.keys() | task.secrets.keys()
    passed = worker_environment(task, base).keys() - told
    return DryEnvironment(passed=tuple(sorted(passed)), set=tuple(sorted(told)), rendered=rendered)
