"""The tasks of a plan as they were written, in its file and in the manifest that it names."""

from collections.abc import Mapping, Sequence

import msgspec

from protocols.budget import Budget, read_budget
from protocols.durations import format_duration
from protocols.fan_out import ForEach, read_for_each
from protocols.graph import find_cycles
from protocols.ids import TaskId
from protocols.instances import Instance
from protocols.manifest import ENTITY_KEYS, read_manifest
from protocols.needs import Wanted, read_needs
from protocols.plan_instance import read_instance
from protocols.plan_level import COMMON_KEYS, LATER_KEYS, Level, read_level
from protocols.plan_roles import check_name
from protocols.restarts import SHORTEST
from protocols.section import Problems, Section
from protocols.wording import escaped, quote

__all__ = ["Draft", "check_drafts", "check_restart", "check_services", "read_drafts"]

_SHOWN = 12  # names of a cycle that a message holds
_HINTS = {
    **LATER_KEYS,
    "concurrency": "a task runs once; move this key to [defaults] for the whole run, to [roles.NAME] for a role, "
    "or to [labels.NAME] for a label",
}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it was written."""

    section: Section
    id: TaskId
    title: str = ""
    """For people."""
    role: str | None
    wanted: Wanted
    """The source of ``for_each`` included."""
    for_each: ForEach | None
    instance: Instance | None
    level: Level
    budget: Budget | None = None
    where: str = ""
    """Where it was written, where that is not the file of the plan."""


def read_drafts(root: Section, problems: Problems, manifest: bytes | None) -> list[Draft]:
    """All tasks, those of the manifest last. ``problems`` are those of the plan, to which the manifest's are added."""
    drafts = [_read(section) for section in root.tables("tasks") if section]
    table = root.table("generate", '{ manifest = "FILE" }')
    if table is None:
        return drafts
    table.check_keys(("manifest",), {})
    path = table.text("manifest")
    if path is None or manifest is None:
        if path is not None or "manifest" not in table:
            table.reject("manifest", "missing; name the JSON file of the manifest")
        return drafts
    problems.files.append(inner := Problems(path))
    found = read_manifest(manifest, inner)
    for agent, needs, source in zip(found.agents, found.needs, found.sources, strict=True):
        drafts.append(_read(agent, f"{path}: {agent.path}", needs, source))
    return drafts


def _read(section: Section, where: str = "", needs: tuple[TaskId, ...] | None = None, source: str = "") -> Draft:
    """``needs`` and ``source``: what follows from the entities of a manifest."""
    keys = ("id", "title", "role", "needs", "for_each", "instance", "budget", *COMMON_KEYS)
    section.check_keys(keys if needs is None else (*keys, *ENTITY_KEYS), _HINTS)
    name = section.text("id")
    if name:
        check_name(section, "id", name)
    elif "id" not in section:
        section.reject("id", "missing; give the task a name")
    wanted = read_needs(section) if needs is None else Wanted(needs)
    each = read_for_each(section)
    if each is not None and needs is not None:
        each = msgspec.structs.replace(each, source=TaskId(source))
    instance = read_instance(section)
    if each is not None and each.source:
        wanted = _with_source(section, wanted, each.source, "for_each")
    if instance is not None and instance.giver:
        wanted = _with_source(section, wanted, instance.giver, "its plan")
    return Draft(
        section=section,
        id=TaskId(name or ""),
        title=section.text("title") or "",
        role=section.text("role"),
        wanted=wanted,
        for_each=each,
        instance=instance,
        level=read_level(section),
        budget=read_budget(section, warns=True),
        where=where,
    )


def _with_source(section: Section, wanted: Wanted, source: TaskId, what: str) -> Wanted:
    if source in wanted.on:
        section.reject("needs", f"{quote(source)}: {what} is from it, so it has to succeed; remove this need")
    return msgspec.structs.replace(wanted, needs=tuple(dict.fromkeys((*wanted.needs, source))))


def check_drafts(drafts: Sequence[Draft]) -> None:
    """The names of tasks, and whether they can ever start."""
    first: dict[TaskId, Draft] = {}
    for draft in drafts:
        other = first.setdefault(draft.id, draft)
        if draft.id and other is not draft:
            where = other.where or other.section.path
            draft.section.reject("id", f"{quote(draft.id)} is the id of {where} too; rename one of them")
    by_id = {draft.id: draft for draft in drafts if draft.id}
    for draft in drafts:
        for need in draft.wanted.needs:
            _check_need(draft, need, by_id)
    known = {
        task: [need for need in draft.wanted.needs if need in by_id and need != task] for task, draft in by_id.items()
    }
    for cycle in find_cycles(known):
        by_id[cycle[0]].section.reject("needs", f"cycle {_draw(cycle)}, each needs the next; remove one of these needs")


def _check_need(draft: Draft, need: TaskId, by_id: Mapping[TaskId, Draft]) -> None:
    source = draft.for_each is not None and draft.for_each.source == need
    if need == draft.id:
        rule = "its items are from another task; name that" if source else "a task cannot need itself; remove it"
    elif need not in by_id:
        advice = "name another one" if source else "add it, or remove this need"
        rule = f"no task {quote(need)}{draft.section.guess(need, by_id) or f'; {advice}'}"
    else:
        return
    draft.section.reject("for_each.from" if source else "needs", rule)


def _draw(cycle: Sequence[str]) -> str:
    shown = [escaped(task) for task in cycle]
    if len(shown) > _SHOWN:
        shown[_SHOWN - 2 : -1] = [f"… ({len(shown) - _SHOWN + 1} more)"]
    return " → ".join(shown)


def check_restart(draft: Draft, level: Level) -> None:
    """A service has no attempts that are counted, and its pauses are not nothing."""
    if level.restart is None or level.restart.when == "never":
        return
    if level.retries or any(level.retry.counts.values()):
        said = f"retries is {level.retries} here" if level.retries else "there are retries here"
        rule = "retries are for a task that is to finish; write retries = 0, or leave restart out"
        draft.section.reject("restart", f"{said}; {rule}")
    if level.backoff is not None and level.backoff < SHORTEST:
        draft.section.reject("backoff", f"a crash loop would spin; write at least {format_duration(SHORTEST)}")
    if draft.for_each is not None and level.restart.when == "always":
        draft.section.reject("for_each", "a task that is restarted always is never done; write restart otherwise")


def check_services(drafts: Sequence[Draft], services: set[TaskId]) -> None:
    for draft in drafts:
        for need in services.intersection(draft.wanted.needs):
            rule = (
                f'{quote(need)} is restarted always, so it is never done; remove this need, or write "on-failure" there'
            )
            draft.section.reject("needs", rule)
