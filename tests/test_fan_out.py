"""What a plan says of a task for each item of an output, and what comes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PlanError
from protocols.fan_out import ForEach, expand, group_of, planned
from protocols.ids import TaskId
from protocols.plan_parser import parse_plan
from tests.any_text import any_text

BUILD, PQP = TaskId("build"), TaskId("pqp")
EACH = ForEach(source=PQP, path="$.itps[*]", key="code")
FIRST = '[[tasks]]\nid = "pqp"\ncommand = ["true"]\noutput = { stdout_json = true }\n'


def made(*items: object, key: str = "code", limit: int = 1000) -> list[tuple[str, str]]:
    """Names and problems of what comes of these items."""
    found = expand(BUILD, ForEach(source=PQP, path="$.itps[*]", key=key, limit=limit), {"itps": list(items)})
    assert not found.problem
    return [(item.id, item.problem) for item in found.items]


def problems(keys: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(f'{FIRST}[[tasks]]\nid = "build"\ncommand = ["true"]\n{keys}', "x.toml")
    return list(caught.value.problems)


def test_items_are_named_by_their_keys_in_their_order() -> None:
    assert made({"code": "B"}, {"code": "A-12"}, {"code": 7}) == [
        ("build[B]", ""),
        ("build[A-12]", ""),
        ("build[7]", ""),
    ]
    assert made("b", 3, key="") == [("build[b]", ""), ("build[3]", "")]
    assert made({"id": {"n": "x"}}, key="$.id.n") == [("build[x]", "")]
    assert made({"code": "a/../b c"}, {"code": "ü]"}) == [("build[a%2F..%2Fb%20c]", ""), ("build[%C3%BC%5D]", "")]


def test_a_bad_item_is_told_with_its_number_and_the_others_are_made() -> None:
    assert made(
        {"code": "A"},
        {"cod": "B"},
        {"code": ["C"]},
        {"code": "A"},
        {"code": None},
        {"code": 1.5},
        {"code": ""},
        5,
        {"code": "D"},
    ) == [
        ("build[A]", ""),
        ("build[#2]", 'item 2 of "pqp": no code in it, which is to be its key'),
        ("build[#3]", 'item 3 of "pqp": its code is a list, and a key is a text or a whole number'),
        ("build[#4]", 'item 4 of "pqp": its key "A" is that of item 1 too'),
        ("build[#5]", 'item 5 of "pqp": its code is null, and a key is a text or a whole number'),
        ("build[#6]", 'item 6 of "pqp": its code is a decimal number, and a key is a text or a whole number'),
        ("build[#7]", 'item 7 of "pqp": its code is empty, and cannot be a key'),
        ("build[#8]", 'item 8 of "pqp": no code in it, which is to be its key'),
        ("build[D]", ""),
    ]
    (alone,) = made({"code": 1}, key="")
    why = "it is an object, and a key is a text or a whole number; name a field of it: for_each.key"
    assert alone == ("build[#1]", f'item 1 of "pqp": {why}')
    assert made({"code": "x" * 129})[0][1].endswith("its code is too long for a key, at most 128 characters")


def test_no_items_are_fine_where_their_list_is_there_and_a_mistake_where_it_is_not() -> None:
    assert expand(BUILD, EACH, {"itps": []}) == ((), "")
    assert expand(BUILD, ForEach(source=PQP, path="$[*].parts[*]"), [{"parts": []}, {}]) == ((), "")
    values: list[object] = [{"itp": []}, [], {"itps": 5}, None]
    for value in values:
        found = expand(BUILD, EACH, value)
        assert found == ((), '$.itps[*] leads nowhere in the output of "pqp"; correct the path')


def test_too_many_items_are_a_mistake_of_all_of_them() -> None:
    assert len(made(*range(3), key="", limit=3)) == 3
    found = expand(BUILD, ForEach(source=PQP, path="$[*]", limit=3), list(range(4)))
    assert found == ((), '4 items at $[*] of "pqp", its limit is 3; is the path right? limit in for_each allows more')


_ITEMS = st.lists(st.dictionaries(st.sampled_from(["code", "x"]), any_text | st.integers() | st.none(), max_size=2))


@given(_ITEMS)
def test_whatever_the_items_each_makes_one_task_with_a_name_of_its_own_that_tells_its_key(items: list[object]) -> None:
    found = expand(BUILD, EACH, {"itps": items})

    assert found == expand(BUILD, EACH, {"itps": items})
    assert len(found.items) == len(items) == len({item.id for item in found.items})
    for item, value in zip(found.items, items, strict=True):
        assert item.id.isascii() and item.id.isprintable() and "/" not in item.id and planned(item.id) == BUILD
        assert item.value is value
        if not item.problem:
            assert isinstance(value, dict)
            assert group_of(item.id) == (BUILD, str(value["code"]))


def test_a_task_with_for_each_needs_its_source() -> None:
    each = 'for_each = { from = "pqp", path = "$.itps[*]", key = "code" }'
    text = f'{FIRST}[[tasks]]\nid = "build"\ncommand = ["true"]\n{each}'

    task = parse_plan(text, "x.toml").tasks[1]

    assert (task.for_each, task.needs, task.place(1)) == (EACH, (PQP,), "tasks[1]")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("for_each = {}", "for_each.from: missing; name the task whose output holds the items"),
        ('for_each = { from = "pqq" }', 'for_each.from: no task "pqq"; did you mean "pqp"?'),
        ('for_each = { from = "build" }', "for_each.from: its items are from another task; name that"),
        (
            'for_each = { from = "pqp", path = "$..a" }',
            "for_each.path: no path at '..a'; write it like $.parts[*] or $.parts[0].name",
        ),
        (
            'for_each = { from = "pqp", key = "a.*" }',
            "for_each.key: an item has one key; write the path of one field, without *",
        ),
        ('for_each = { from = "pqp", limit = 0 }', "for_each.limit: out of range; write a number from 1 to 10000"),
        ('for_each = { from = "pqp", limit = 10001 }', "for_each.limit: out of range; write a number from 1 to 10000"),
        ('for_each = { from = "pqp", in = 5 }', "for_each.in: no such key; remove it"),
        ('for_each = "pqp"', 'for_each: expected a table, got a string; write { from = "TASK", path = "$[*]" }'),
        (
            'for_each = { from = "pqp" }\nneeds = [{ task = "pqp", on = "end" }]',
            'needs: "pqp": for_each is from it, so it has to succeed; remove this need',
        ),
        (
            'for_each = { from = "pqp" }\nrestart = "always"',
            "for_each: a task that is restarted always is never done; write restart otherwise",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(keys: str, expected: str) -> None:
    assert problems(keys) == [f"x.toml: tasks[1].{expected}"]


def test_an_instance_runs_the_plan_of_one_task_and_not_of_several() -> None:
    several = 'for_each = { from = "pqp" }\noutput = { file = "p.toml", plan = true }\n'
    found = problems(f'{several}[[tasks]]\nid = "inner"\ninstance = {{ from = "build" }}\nneeds = ["build"]')

    why = '"build" is one task for each item, and gives many; name one that gives one'
    assert found == [f"x.toml: tasks[2].instance.from: {why}"]
