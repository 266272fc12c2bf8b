"""From the text of a plan to a `Plan`, or to all of its mistakes at once."""

from collections.abc import Mapping

import msgspec

from protocols.agents import Agent
from protocols.durations import format_duration
from protocols.errors import PlanError
from protocols.needs import read_label_caps
from protocols.plan import OnFailure, Plan, Task
from protocols.plan_agents import read_agents
from protocols.plan_budgets import check_budgets
from protocols.plan_checks import check_task, resolve_command, without_foreign_keys
from protocols.plan_detection import DetectRoles, choose_role, read_detect_roles
from protocols.plan_drafts import Draft, check_drafts, check_restart, check_services, read_drafts
from protocols.plan_instance import check_givers, check_instance, instance_level
from protocols.plan_level import COMMON_KEYS, LATER_KEYS, Level
from protocols.plan_roles import ONLY_TASKS, Role, find_role, read_role, read_roles
from protocols.plan_session import resolve_prompting
from protocols.plan_workspace import check_workspaces, fit_workspace
from protocols.section import Problems, Section
from protocols.silence import Policy
from protocols.toml_text import parse_toml
from protocols.wording import quote

__all__ = ["parse_plan"]

_DEFAULT_CONCURRENCY = 16
_USUAL = Policy()

_HINTS_TOP = {
    **LATER_KEYS,
    **ONLY_TASKS,
    **dict.fromkeys(COMMON_KEYS, "this key belongs to [defaults], [roles.NAME] or [[tasks]]; move it there"),
    "concurrency": "this key belongs to [defaults] or [roles.NAME]; move it there",
    "budget": "write the budget of the run in [defaults], of a role in [roles.NAME], of a task in [[tasks]]",
}


def parse_plan(text: str, file: str, *, grace: float = 10.0, manifest: bytes | None = None) -> Plan:
    """The plan that ``text`` holds. ``file`` names it in messages; ``grace`` applies where the plan says none;
    ``manifest`` is the file that it names, see `protocols.manifest.find_manifest`.

    Raises PlanError with every mistake that was found.
    """
    problems = Problems(file)
    root = Section(parse_toml(text, file, PlanError), "", problems)
    root.check_keys(("agents", "defaults", "generate", "labels", "roles", "tasks"), _HINTS_TOP)
    agents = read_agents(root.table("agents"))
    defaults, on_failure = _read_defaults(root.table("defaults"))
    roles = read_roles(root.table("roles"))
    labels = read_label_caps(root.table("labels"))
    drafts = read_drafts(root, problems, manifest)
    if root.get("tasks") in (None, []) and "generate" not in root:
        problems.add("tasks", "a plan needs at least one task; add [[tasks]] with an id and a command")
    check_drafts(drafts)
    grace = grace if defaults.level.grace is None else defaults.level.grace
    base = msgspec.structs.replace(defaults.level, grace=grace)
    detect = read_detect_roles(defaults.section)
    for role in (defaults, *roles.values()):
        _check_silence(role.section, role.level, role.level.over(base))
    tasks = tuple(_resolve(draft, base, roles, agents, detect) for draft in drafts)
    check_givers(tasks, {draft.id: draft.section for draft in drafts})
    check_budgets(tasks, [draft.section for draft in drafts], defaults, roles)
    tasks = check_workspaces({draft.id: draft.section for draft in drafts}, tasks)
    check_services(drafts, {task.id for task in tasks if task.restart.when == "always"})
    if problems.lines:
        raise PlanError(*problems.lines)
    return Plan(
        tasks=tasks,
        concurrency=defaults.concurrency or _DEFAULT_CONCURRENCY,
        role_concurrency={name: role.concurrency for name, role in roles.items() if role.concurrency},
        label_concurrency=labels,
        budget=defaults.budget,
        role_budgets={name: role.budget for name, role in roles.items() if role.budget is not None},
        on_failure=on_failure,
        grace=grace,
    )


def _read_defaults(section: Section | None) -> tuple[Role, OnFailure]:
    defaults = read_role(section, "on_failure", "detect_roles")
    match None if section is None else section.text("on_failure"):
        case None | "continue":
            return defaults, "continue"
        case "stop":
            return defaults, "stop"
        case unknown if section is not None:
            section.reject("on_failure", f'{quote(unknown)}: write "continue" or "stop"')
    return defaults, "continue"


def _resolve(
    draft: Draft, base: Level, roles: Mapping[str, Role], agents: Mapping[str, Agent], detect: DetectRoles
) -> Task:
    level, section = draft.level, draft.section
    name, why, adds = choose_role(draft, level.over(base), detect)
    role = None if name is None else find_role(section, name, roles)
    unsaid = bool(why) and adds and level.timeout is None and role is not None and role.level.timeout is not None
    if role is not None and adds:
        level = level.over(role.level)
    level = level.over(base)
    level = msgspec.structs.replace(level, limits=level.limits.resolved())
    if draft.instance is None:
        check_task(section, draft.level, level)
    else:
        level = instance_level(level)
        check_instance(section, level)
    _check_silence(section, draft.level, level)
    check_restart(draft, level)
    prompts, session = level.session.prompts, level.session
    level = level if draft.instance is not None else without_foreign_keys(level)
    said = {name: value for name, value in msgspec.structs.asdict(level).items() if value is not None}
    del said["session"]
    if draft.instance is not None:
        said.update(command=(), instance=draft.instance)
    elif prompts is None:
        said["command"] = resolve_command(section, level)
    else:
        said.update(command=(), prompting=resolve_prompting(section, session, agents, prompts))
    said["budget"] = draft.budget
    said |= {"needs": draft.wanted.needs, "on": draft.wanted.on, "for_each": draft.for_each, "where": draft.where}
    said["title"] = draft.title
    return fit_workspace(section, Task(id=draft.id, role=name, role_reason=why, unsaid_timeout=unsaid, **said))


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
