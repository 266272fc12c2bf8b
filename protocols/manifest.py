"""A manifest of agents: what each creates and needs, from which follows who needs whom.

A JSON object, described by ``configs/manifest.schema.json``: ``agents`` is a list of objects with ``id``, ``creates``
and ``needs`` (names of entities: a document, a register, whatever they hand on) and the other keys of a task.
``given`` names the entities that are there before anybody starts.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.json_text import parse_json
from protocols.section import Problems, Section
from protocols.task_output import DEEPEST
from protocols.toml_text import parse_toml
from protocols.wording import quote

__all__ = ["ENTITY_KEYS", "Manifest", "find_manifest", "read_manifest"]

ENTITY_KEYS = ("creates", "needs")
"""Keys of an agent that mean something else than, or nothing, in a task."""


class Manifest(msgspec.Struct, frozen=True):
    """The agents as tasks. ``needs`` of each: what follows from its entities."""

    agents: tuple[Section, ...] = ()
    needs: tuple[tuple[TaskId, ...], ...] = ()
    sources: tuple[TaskId, ...] = ()
    """Of those with ``for_each``: who creates the entity that it is from."""


def find_manifest(text: str) -> str:
    """The path of the manifest that a plan names; empty where it names none, or is no plan at all."""
    try:
        table = parse_toml(text, "", PlanError).get("generate")
    except PlanError:
        return ""
    path = table.get("manifest") if isinstance(table, dict) else None
    return path if isinstance(path, str) and "\0" not in path else ""


def read_manifest(data: bytes, problems: Problems) -> Manifest:
    """What is wrong goes to ``problems``, of the file of the manifest."""
    try:
        value = parse_json(data, DEEPEST)
    except ValueError as error:
        problems.add("", str(error))
        return Manifest()
    if not isinstance(value, dict):
        problems.add("", 'not an object; write {"agents": […]}')
        return Manifest()
    root = Section(value, "", problems)
    root.check_keys(("$schema", "agents", "given"), {})
    agents = tuple(section for section in root.tables("agents") if section is not None)
    if root.get("agents") in (None, []):
        problems.add("agents", "a manifest needs at least one agent")
    given = root.strings("given") or ()
    makers = dict(_makers(agents, given))
    entities = {*makers, *given}
    needs = tuple(tuple(_needs(agent, makers, entities)) for agent in agents)
    return Manifest(agents, needs, tuple(_source(agent, makers, entities) for agent in agents))


def _makers(agents: Sequence[Section], given: Sequence[str]) -> Iterator[tuple[str, Section]]:
    """Who creates which entity, each by one."""
    first: dict[str, str] = dict.fromkeys(given, "given")
    for agent in agents:
        for entity in dict.fromkeys(agent.strings("creates") or ()):
            other = first.setdefault(entity, agent.path)
            if other is agent.path:
                yield entity, agent
            elif other == "given":
                agent.reject("creates", f"{quote(entity)} is given, so nobody creates it; remove it here or there")
            else:
                agent.reject("creates", f"{quote(entity)} is created by {other} too; it has one creator: rename one")


def _needs(agent: Section, makers: Mapping[str, Section], entities: set[str]) -> Iterator[TaskId]:
    """In the order in which they are written, each once."""
    seen: set[str] = set()
    for entity in agent.strings("needs") or ():
        maker = makers.get(entity)
        if entity not in entities:
            guess = agent.guess(entity, entities) or '; let an agent create it, or write it in "given"'
            agent.reject("needs", f"nobody creates {quote(entity)}{guess}")
        elif maker is agent:
            agent.reject("needs", f"{quote(entity)} is what it creates itself; remove it here or there")
        elif maker is not None and maker.path not in seen:
            seen.add(maker.path)
            yield _id(maker)


def _source(agent: Section, makers: Mapping[str, Section], entities: set[str]) -> TaskId:
    """``from`` names an entity here. Empty where there is none, or a mistake, which is told."""
    table = agent.get("for_each")
    entity = table.get("from") if isinstance(table, dict) else None
    if not isinstance(entity, str) or not entity:
        return TaskId("")
    maker = makers.get(entity)
    if maker is agent:
        agent.reject("for_each", f"from: {quote(entity)} is what it creates itself; name another entity")
    elif maker is None:
        guess = agent.guess(entity, makers) or "; let an agent create it"
        agent.reject("for_each", f"from: nobody creates {quote(entity)}{guess}")
    return TaskId("") if maker is None or maker is agent else _id(maker)


def _id(agent: Section) -> TaskId:
    name = agent.get("id")
    return TaskId(name if isinstance(name, str) else "")
