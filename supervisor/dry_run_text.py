"""A dry run as a person reads it."""

import os
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from protocols.budget import KINDS, Budget, Kind, tell_amount
from protocols.durations import format_duration
from protocols.event_codec import escape_json
from protocols.needs import Condition
from protocols.wording import escaped
from supervisor.dry_run import DryEnvironment, DryRules, DryRun, DrySession, DryTask, rehearse
from supervisor.plans import load_plan, make_durable
from supervisor.settings import Settings
from supervisor.table import terminal_width

__all__ = ["describe_run", "render_dry_run"]

_LABEL = 12  # columns
_CONDITIONS: dict[Condition, str] = {"success": "", "failure": " (if it fails)", "end": " (however it ends)"}


def describe_run(path: Path, settings: Settings, *, durable: bool, as_json: bool) -> str:
    """What ``callboard run`` would do. Raise PlanError with every mistake of the plan.

    ``durable``: all its workers are, whatever the plan says.
    """
    loaded = load_plan(path, Path.cwd(), grace=settings.stop.grace)
    found = rehearse(make_durable(loaded) if durable else loaded, str(path), os.environ)
    if as_json:
        return escape_json(msgspec.json.encode(found)).decode()
    return render_dry_run(found, min(terminal_width() or 100, 100))


def render_dry_run(found: DryRun, width: int = 100) -> str:
    """Texts are shown in full and line by line; other lines are wrapped at ``width`` columns."""
    lines = list(_head(found))
    for task in found.tasks:
        lines += ["", *_task(task, width)]
    return "\n".join(lines)


def _head(found: DryRun) -> Iterator[str]:
    count = len(found.tasks)
    caps = "".join(f", {limit} of role {escaped(role)}" for role, limit in found.role_concurrency.items())
    caps += "".join(f", {limit} with label {escaped(label)}" for label, limit in found.label_concurrency.items())
    size = f"{count} task{'' if count == 1 else 's'}, at most {found.concurrency} at once{caps}"
    yield f"{escaped(found.plan)}: {size}; nothing was started"
    if found.on_failure == "stop":
        yield "The first failure that is not allowed stops the run."
    budgets = [("the run", found.budget), *((f"role {name}", budget) for name, budget in found.role_budgets.items())]
    yield from (f"Budget of {escaped(whose)}: {_tell_budget(budget)}." for whose, budget in budgets if budget)
    if any(task.waits for task in found.tasks):
        yield "What stands in ‹…› is known only when its task starts."


def _task(task: DryTask, width: int) -> Iterator[str]:
    yield f"{task.wave}. {escaped(task.id)}"
    for label, text in _fields(task):
        yield from _field(label, text, width)
    for key, text in _texts(task):
        yield from _block(f"{key} (not all of it is known yet)" if key in task.waits else key, text)
    yield from _environment(task.environment, width)
    for problem in task.problems:
        yield from _field("problem", f"it would fail: {escaped(problem)}", width)


def _fields(task: DryTask) -> Iterator[tuple[str, str]]:
    if task.needs:
        on = task.rules.on
        yield "needs", ", ".join(escaped(need) + (_CONDITIONS[on[need]] if need in on else "") for need in task.needs)
    if task.title:
        yield "title", escaped(task.title)
    if task.role:
        yield "role", escaped(task.role) + (f" (detected: {escaped(task.role_reason)})" if task.role_reason else "")
    yield "cwd", escaped(task.cwd)
    if task.session is not None:
        yield "agent", _agent(task.session)
    if task.executable:
        yield "program", escaped(task.executable) + ("" if task.source == "pipe" else f", source {task.source}")
    if task.instance:
        yield "instance", f"a callboard of its own, which runs {escaped(task.instance)}"
    if task.workspace != "shared":
        yield "workspace", f"a {task.workspace} of its own"
    yield from _rules(task.rules, task.role)
    if task.stdin not in {"none", "pipe"} and not task.stdin.startswith("text "):
        yield "stdin", escaped(task.stdin)
    if task.output:
        yield "gives", escaped(task.output)
    notes = [note for note, said in (("durable", task.durable), ("may fail", task.allow_failure)) if said]
    if notes:
        yield "besides", ", ".join(notes)


def _rules(rules: DryRules, role: str) -> Iterator[tuple[str, str]]:
    if rules.for_each:
        yield "for each", escaped(rules.for_each)
    if rules.priority:
        yield "priority", str(rules.priority)
    if rules.labels:
        yield "labels", ", ".join(map(escaped, rules.labels))
    limits = ["none" if rules.timeout is None else format_duration(rules.timeout)]
    if rules.unsaid_timeout:
        limits[0] += f" (role {escaped(role)}, detected)"
    if rules.quiet_timeout is not None:
        limits.append(f"{format_duration(rules.quiet_timeout)} without a word")
    if rules.warn_before is not None:
        limits.append(f"warned {format_duration(rules.warn_before)} before")
    if not rules.counts_waiting:
        limits.append("waiting does not count")
    if rules.restart == "never":
        limits.append(f"retries {rules.retries}")
        limits += [f"{count} for {cause}" for cause, count in rules.retry.items()]
    else:
        limits.append(f"restarted {rules.restart}")
    yield "timeout", ", ".join(limits)
    if rules.budget is not None:
        yield "budget", _tell_budget(rules.budget)


def _tell_budget(budget: Budget) -> str:
    """``time 2h, tokens 2000000 (told at 1600000)``."""
    said = []
    for kind in KINDS:
        hard, soft = (_tell_amount(kind, getattr(amounts, kind)) for amounts in (budget.hard, budget.soft))
        if hard or soft:
            said.append(" ".join(part for part in (kind, hard, soft and f"(told at {soft})") if part))
    return ", ".join(said)


def _tell_amount(kind: Kind, amount: float | None) -> str:
    if amount is None:
        return ""
    return format_duration(amount) if kind == "time" else tell_amount(kind, amount)


def _agent(session: DrySession) -> str:
    parts = [session.agent, f"at {session.server}" if session.server else "on a server that is started for the run"]
    parts += [f"{label} {text}" for label, text in (("model", session.model), ("mode", session.mode)) if text]
    return escaped(", ".join(parts))


def _texts(task: DryTask) -> Iterator[tuple[str, str]]:
    """What is run, prompted and read, each behind the key of the plan."""
    if task.command:
        yield "command", task.command[-1] if task.shell else shlex.join(task.command)
    if task.session is not None:
        if task.session.system:
            yield "system", task.session.system
        several = len(task.session.prompts) > 1
        for index, prompt in enumerate(task.session.prompts):
            yield f"prompt[{index}]" if several else "prompt", prompt
    if task.stdin.startswith("text "):
        yield "stdin.text", task.stdin.removeprefix("text ")


def _environment(found: DryEnvironment, width: int) -> Iterator[str]:
    if found.passed:
        yield from _field("passed", ", ".join(map(escaped, found.passed)), width)
    if found.set:
        names = (f"{name}={found.rendered[name]}" if name in found.rendered else name for name in found.set)
        yield from _field("set", ", ".join(map(escaped, names)), width)


def _field(label: str, text: str, width: int) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        width=width,
        initial_indent=f"   {label:{_LABEL}}",
        subsequent_indent=" " * (3 + _LABEL),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _block(label: str, text: str) -> Iterator[str]:
    lines = text.removesuffix("\n").split("\n")
    if len(lines) == 1 and len(label) < _LABEL:
        yield f"   {label:{_LABEL}}{escaped(text.removesuffix(chr(10)))}"
        return
    yield f"   {label}:"
    yield from (f"     {escaped(line)}".rstrip() for line in lines)
