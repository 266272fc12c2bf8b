"""What a task waits for, as a plan says it: conditions, priorities, labels."""

import pytest

from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.plan_parser import parse_plan

LABELS = 'use up to 64 letters, digits, ".", "_", "/" and "-", the first a letter or a digit'
A, B, C = (TaskId(name) for name in "abc")


def plan(*keys: str) -> str:
    """Tasks a, b, c… with these keys."""
    return "\n".join(
        f'[[tasks]]\nid = "{name}"\ncommand = ["true"]\n{said}' for name, said in zip("abcdef", keys, strict=False)
    )


def test_a_need_may_be_told_with_the_end_that_it_is_to_have() -> None:
    text = plan(
        "", "", 'needs = ["a", { task = "b", on = "failure" }]', 'needs = [{ task = "a" }, { task = "b", on = "end" }]'
    )

    *_, c, d = parse_plan(text, "x.toml").tasks

    assert (c.needs, c.on) == ((A, B), {B: "failure"})
    assert (d.needs, d.on) == ((A, B), {B: "end"})


def test_priorities_and_labels_come_from_every_level_and_caps_from_tables() -> None:
    text = """
        [defaults]
        labels = ["all"]
        on_failure = "stop"
        [roles.x]
        priority = 5
        labels = ["x"]
        concurrency = 2
        [labels.x]
        concurrency = 3
        [labels."repo/one"]
        concurrency = 1
        [[tasks]]
        id = "a"
        role = "x"
        command = ["true"]
        labels = ["repo/one", "x"]
        [[tasks]]
        id = "b"
        role = "x"
        command = ["true"]
        priority = -1
    """

    found = parse_plan(text, "x.toml")

    assert [(task.priority, task.labels) for task in found.tasks] == [(5, ("all", "x", "repo/one")), (-1, ("all", "x"))]
    assert found.caps() == {"role:x": 2, "label:x": 3, "label:repo/one": 1}
    assert found.tasks[1].counted_as() == ("role:x", "label:all", "label:x")
    assert found.on_failure == "stop"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            plan("", 'needs = [{ task = "a", on = "fail" }]'),
            'tasks[1].needs[0].on: "fail" is no end of a task; did you mean "failure"?',
        ),
        (
            plan("", 'needs = [{ task = "a", on = "x" }]'),
            'tasks[1].needs[0].on: "x" is no end of a task; write "success", "failure" or "end"',
        ),
        (plan("", 'needs = [{ on = "end" }]'), "tasks[1].needs[0].task: missing; name a task"),
        (plan("", 'needs = [{ task = "a", when = "end" }]'), "tasks[1].needs[0].when: no such key; remove it"),
        (
            plan("", 'needs = ["a", { task = "a", on = "end" }]'),
            'tasks[1].needs: "a" on success and on end; write one of them',
        ),
        (plan("", "needs = [5]"), 'tasks[1].needs[0]: expected a string, got a number; write "5"'),
        (plan('needs = [{ task = "a", on = "end" }]'), "tasks[0].needs: a task cannot need itself; remove it"),
        (plan("priority = 1001"), "tasks[0].priority: write a whole number from -1000 to 1000; the greatest is first"),
        (plan("priority = true"), "tasks[0].priority: write a whole number from -1000 to 1000; the greatest is first"),
        (plan('labels = ["a b"]'), f'tasks[0].labels: "a b" is no label; {LABELS}'),
        (plan('labels = "a"'), 'tasks[0].labels: expected a list of strings, got a string; write ["a"]'),
        ("labels.x = {}\n" + plan(""), "labels.x.concurrency: missing; say how many tasks with x run at once"),
        (
            "labels.x = { concurrency = 0 }\n" + plan(""),
            "labels.x.concurrency: out of range; write a number from 1 to 1000000",
        ),
        ("labels.x = { most = 1, concurrency = 1 }\n" + plan(""), "labels.x.most: no such key; remove it"),
        ('defaults.on_failure = "ignore"\n' + plan(""), 'defaults.on_failure: "ignore": write "continue" or "stop"'),
        (
            'roles.x.on_failure = "stop"\n' + plan(""),
            "roles.x.on_failure: this key is for the whole run; move it to [defaults]",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_can(text: str, expected: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "x.toml")

    assert caught.value.problems == (f"x.toml: {expected}",)
