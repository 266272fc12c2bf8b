"""From the text of a plan to a `Plan`, or to all of its mistakes at once."""

from collections.abc import Mapping, Sequence

import msgspec

from protocols.agents import Agent
from protocols.durations import format_duration
from protocols.errors import PlanError
from protocols.graph import find_cycles
from protocols.ids import TaskId
from protocols.plan import Plan, Task
from protocols.plan_agents import read_agents
from protocols.plan_checks import check_task, resolve_command, without_foreign_keys
from protocols.plan_level import COMMON_KEYS, LATER_KEYS, Level, read_level
from protocols.plan_roles import ONLY_TASKS, Role, check_name, choose_role, find_role, read_role, read_roles
from protocols.plan_session import resolve_prompting
from protocols.plan_workspace import check_workspaces, fit_workspace
from protocols.restarts import SHORTEST
from protocols.section import Problems, Section
from protocols.silence import Policy
from protocols.toml_text import parse_toml
from protocols.wording import escaped, quote

__all__ = ["parse_plan"]

_DEFAULT_CONCURRENCY = 16
_USUAL = Policy()
_SHOWN = 12  # names of a cycle that a message holds

_HINTS_TOP = {
    **LATER_KEYS,
    **ONLY_TASKS,
    **dict.fromkeys(COMMON_KEYS, "this key belongs to [defaults], [roles.NAME] or [[tasks]]; move it there"),
    "concurrency": "this key belongs to [defaults] or [roles.NAME]; move it there",
}
_HINTS_TASK = {
    **LATER_KEYS,
    "concurrency": "a task runs once; move this key to [defaults] for the whole run, or to [roles.NAME] for a role",
}


class _Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it was written."""

    section: Section
    id: TaskId
    role: str | None
    needs: tuple[TaskId, ...]
    level: Level


def parse_plan(text: str, file: str, *, grace: float = 10.0) -> Plan:
    """The plan that ``text`` holds. ``file`` names it in messages; ``grace`` applies where the plan says none.

    Raises PlanError with every mistake that was found.
    """
    problems = Problems(file)
    root = Section(parse_toml(text, file, PlanError), "", problems)
    root.check_keys(("agents", "defaults", "roles", "tasks"), _HINTS_TOP)
    agents = read_agents(root.table("agents"))
    defaults = read_role(root.table("defaults"))
    roles = read_roles(root.table("roles"))
    drafts = [draft for section in root.tables("tasks") if section and (draft := _read_task(section))]
    if root.get("tasks") in (None, []):
        problems.add("tasks", "a plan needs at least one task; add [[tasks]] with an id and a command")
    _check_ids(drafts)
    _check_needs(drafts)
    grace = grace if defaults.level.grace is None else defaults.level.grace
    base = msgspec.structs.replace(defaults.level, grace=grace)
    for role in (defaults, *roles.values()):
        _check_silence(role.section, role.level, role.level.over(base))
    tasks = tuple(_resolve(draft, base, roles, agents) for draft in drafts)
    tasks = check_workspaces({draft.id: draft.section for draft in drafts}, tasks)
    _check_services(drafts, {task.id for task in tasks if task.restart.when == "always"})
    if problems.lines:
        raise PlanError(*problems.lines)
    return Plan(
        tasks=tasks,
        concurrency=defaults.concurrency or _DEFAULT_CONCURRENCY,
        role_concurrency={name: role.concurrency for name, role in roles.items() if role.concurrency},
        grace=grace,
    )


def _read_task(section: Section) -> _Draft:
    section.check_keys(("id", "role", "needs", *COMMON_KEYS), _HINTS_TASK)
    name = section.text("id")
    if name:
        check_name(section, "id", name)
    elif "id" not in section:
        section.reject("id", "missing; give the task a name")
    needs = tuple(TaskId(need) for need in section.strings("needs") or ())
    return _Draft(
        section=section, id=TaskId(name or ""), role=section.text("role"), needs=needs, level=read_level(section)
    )


def _check_ids(drafts: Sequence[_Draft]) -> None:
    first: dict[TaskId, _Draft] = {}
    for draft in drafts:
        other = first.setdefault(draft.id, draft)
        if draft.id and other is not draft:
            draft.section.reject("id", f"{quote(draft.id)} is the id of {other.section.path} too; rename one of them")


def _check_needs(drafts: Sequence[_Draft]) -> None:
    by_id = {draft.id: draft for draft in drafts if draft.id}
    for draft in drafts:
        for need in draft.needs:
            if need not in by_id:
                guess = draft.section.guess(need, by_id) or "; add it, or remove this need"
                draft.section.reject("needs", f"no task {quote(need)}{guess}")
            elif need == draft.id:
                draft.section.reject("needs", "a task cannot need itself; remove it")
    known = {task: [need for need in draft.needs if need in by_id and need != task] for task, draft in by_id.items()}
    for cycle in find_cycles(known):
        by_id[cycle[0]].section.reject("needs", f"cycle {_draw(cycle)}, each needs the next; remove one of these needs")


def _draw(cycle: Sequence[str]) -> str:
    shown = [escaped(task) for task in cycle]
    if len(shown) > _SHOWN:
        shown[_SHOWN - 2 : -1] = [f"… ({len(shown) - _SHOWN + 1} more)"]
    return " → ".join(shown)


def _resolve(draft: _Draft, base: Level, roles: Mapping[str, Role], agents: Mapping[str, Agent]) -> Task:
    level, section = draft.level, draft.section
    name, why = choose_role(draft.role, draft.id, level.over(base))
    role = None if name is None else find_role(section, name, roles)
    if role is not None:
        level = level.over(role.level)
    level = level.over(base)
    check_task(section, draft.level, level)
    _check_silence(section, draft.level, level)
    _check_restart(draft, level)
    prompts, session = level.session.prompts, level.session
    level = without_foreign_keys(level)
    said = {name: value for name, value in msgspec.structs.asdict(level).items() if value is not None}
    del said["session"]
    if prompts is None:
        said["command"] = resolve_command(section, level)
    else:
        said.update(command=(), prompting=resolve_prompting(section, session, agents, prompts))
    needs = tuple(dict.fromkeys(draft.needs))
    return fit_workspace(section, Task(id=draft.id, role=name, role_reason=why, needs=needs, **said))


def _check_silence(section: Section | None, said: Level, level: Level) -> None:
    """Where one of both durations is said, they have to be in order."""
    quiet = _USUAL.quiet_after if level.quiet_after is None else level.quiet_after
    stalled = _USUAL.stalled_after if level.stalled_after is None else level.stalled_after
    if section is None or quiet < stalled or said.quiet_after is said.stalled_after is None:
        return
    key = "quiet_after" if said.stalled_after is None else "stalled_after"
    section.reject(
        key,
        f"quiet_after is {format_duration(quiet)} and stalled_after is {format_duration(stalled)} here; "
        "a worker is quiet first: make stalled_after the longer one",
    )


def _check_restart(draft: _Draft, level: Level) -> None:
    """A service has no attempts that are counted, and its pauses are not nothing."""
    if level.restart is None or level.restart.when == "never":
        return
    if level.retries or any(level.retry.counts.values()):
        said = f"retries is {level.retries} here" if level.retries else "there are retries here"
        rule = "retries are for a task that is to finish; write retries = 0, or leave restart out"
        draft.section.reject("restart", f"{said}; {rule}")
    if level.backoff is not None and level.backoff < SHORTEST:
        draft.section.reject("backoff", f"a crash loop would spin; write at least {format_duration(SHORTEST)}")


def _check_services(drafts: Sequence[_Draft], services: set[TaskId]) -> None:
    for draft in drafts:
        for need in services.intersection(draft.needs):
            rule = (
                f'{quote(need)} is restarted always, so it is never done; remove this need, or write "on-failure" there'
            )
            draft.section.reject("needs", rule)
