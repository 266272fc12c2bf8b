"""A manifest of agents: who needs whom follows from what they create and need."""

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PlanError
from protocols.graph import find_cycles
from protocols.ids import TaskId
from protocols.manifest import find_manifest
from protocols.plan import Plan
from protocols.plan_parser import parse_plan

TEXT = 'generate = { manifest = "m.json" }'


def agent(name: str, creates: Sequence[str] = (), needs: Sequence[str] = (), **keys: object) -> dict[str, object]:
    return {"id": name, "creates": creates, "needs": needs, "command": ["true"], **keys}


def parse(*agents: Mapping[str, object], given: Sequence[str] = (), plan: str = TEXT) -> Plan:
    manifest = json.dumps({"$schema": "x", "agents": agents, "given": given})
    return parse_plan(plan, "x.toml", manifest=manifest.encode())


def problems(*agents: Mapping[str, object], given: Sequence[str] = (), plan: str = TEXT) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse(*agents, given=given, plan=plan)
    return list(caught.value.problems)


def test_who_needs_an_entity_needs_its_creator_whatever_the_order() -> None:
    plan = parse(
        agent("report", needs=["register", "brief", "drawings", "register"]),
        agent("clerk", ["register"], ["brief"], role="planner", timeout="5m"),
        agent("drawer", ["drawings", "sections"]),
        given=["brief"],
    )

    assert plan.needs() == {"report": ("clerk", "drawer"), "clerk": (), "drawer": ()}
    assert (plan.tasks[1].role, plan.tasks[1].timeout) == ("planner", 300.0)
    assert [task.place(0) for task in plan.tasks] == [f"m.json: agents[{index}]" for index in range(3)]


def test_tasks_of_the_plan_and_of_its_manifest_need_each_other() -> None:
    text = f'{TEXT}\n[defaults]\ntimeout = "1m"\n[[tasks]]\nid = "end"\ncommand = ["true"]\nneeds = ["clerk"]'

    plan = parse(agent("clerk", ["register"]), plan=text)

    assert plan.needs() == {"end": ("clerk",), "clerk": ()}
    assert plan.tasks[1].timeout == 60.0


def test_a_cycle_of_entities_is_told_as_one_of_agents() -> None:
    found = problems(agent("a", ["x"], ["y"]), agent("b", ["y"], ["z"]), agent("c", ["z"], ["x"]), agent("d", ["q"]))

    assert found == ["m.json: agents[0].needs: cycle a → b → c → a, each needs the next; remove one of these needs"]


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        (
            [agent("a", ["register"]), agent("b", [], ["registre"])],
            'agents[1].needs: nobody creates "registre"; did you mean "register"?',
        ),
        (
            [agent("a", [], ["elephant"])],
            'agents[0].needs: nobody creates "elephant"; let an agent create it, or write it in "given"',
        ),
        (
            [agent("a", ["x"]), agent("b", ["x"])],
            'agents[1].creates: "x" is created by agents[0] too; it has one creator: rename one',
        ),
        ([agent("a", ["g"])], 'agents[0].creates: "g" is given, so nobody creates it; remove it here or there'),
        ([agent("a", ["x"], ["x"])], 'agents[0].needs: "x" is what it creates itself; remove it here or there'),
        ([agent("a"), agent("a")], 'agents[1].id: "a" is the id of m.json: agents[0] too; rename one of them'),
        ([{"creates": ["x"], "command": ["true"]}], "agents[0].id: missing; give the task a name"),
        ([agent("a", create=["x"])], 'agents[0].create: no such key; did you mean "creates"?'),
        ([agent("a", creates="x")], 'agents[0].creates: expected a list of strings, got a string; write ["x"]'),
        ([agent("a", command=None)], 'agents[0].command: missing; write what to run, such as ["make", "test"]'),
        ([], "agents: a manifest needs at least one agent"),
    ],
)
def test_what_cannot_be_derived_is_told_with_its_place(agents: list[dict[str, object]], expected: str) -> None:
    keys = [{key: value for key, value in each.items() if value is not None} for each in agents]

    assert problems(*keys, given=["g"]) == [f"m.json: {expected}"]


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (b"{", "m.json: not JSON at line 1, column 2: it ends too early"),
        (b"[]", 'm.json: not an object; write {"agents": […]}'),
        (b'{"agents": [5]}', "m.json: agents[0]: expected a table, got a number"),
        (b'{"agents": [{"id": "a", "command": ["true"]}], "x": 1}', "m.json: x: no such key; remove it"),
        (None, "x.toml: generate.manifest: missing; name the JSON file of the manifest"),
    ],
)
def test_a_manifest_that_is_none_is_told(manifest: bytes | None, expected: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(TEXT if manifest else "generate = {}", "x.toml", manifest=manifest)

    assert caught.value.problems == (expected,)


def test_only_a_plan_that_names_a_manifest_has_one() -> None:
    texts = [TEXT, "", "generate = 5", "generate = { manifest = 5 }", "[", 'generate = { manifest = "a\\u0000" }']

    assert [find_manifest(text) for text in texts] == ["m.json", "", "", "", "", ""]


@given(st.data())
def test_whatever_agents_create_and_need_the_edges_are_theirs_or_a_mistake_is_told(data: st.DataObject) -> None:
    entities = st.sampled_from([f"e{number}" for number in range(8)])
    names = [f"a{number}" for number in range(data.draw(st.integers(1, 6)))]
    creates = {name: data.draw(st.lists(entities, max_size=3, unique=True)) for name in names}
    needs = {name: data.draw(st.lists(entities, max_size=3)) for name in names}
    given = data.draw(st.lists(entities, max_size=2, unique=True))
    makers = {entity: name for name in names for entity in creates[name]}
    edges = {name: {makers[entity] for entity in needs[name] if entity in makers} for name in names}
    fine = (
        len(makers) == sum(map(len, creates.values()))
        and not makers.keys() & set(given)
        and {entity for each in needs.values() for entity in each} <= makers.keys() | set(given)
        and not find_cycles({TaskId(name): sorted(map(TaskId, edge)) for name, edge in edges.items()})
    )

    agents = [agent(name, creates[name], needs[name]) for name in names]

    if fine:
        plan = parse(*agents, given=given)
        assert {task: set(wanted) for task, wanted in plan.needs().items()} == edges
    else:
        assert all(line.startswith("m.json: agents[") for line in problems(*agents, given=given))
