"""Which texts of a task are templates, and what is put in their place."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.agents import Agent, Prompting
from protocols.ids import TaskId
from protocols.plan import Stdin, Task
from protocols.templates import NAMES, is_template, replace_texts, template_texts
from tests.any_text import any_text

BRACES = st.lists(st.sampled_from(["{{", "}}", "{%", "%}", "{#", " ", ".", "Names", "task", '"', "x", "outputs", "."]))


@pytest.mark.parametrize(
    "text",
    [
        "{{ outputs.plan.title }}",
        "{{outputs['my-plan']}}",
        "{{- attempt -}}",
        "say {{ last_failure | tojson }}",
        "{{ task }}",
        "{% if attempt > 1 %}again{% endif %}",
        "{% for each in outputs.plan.steps %}x{% endfor %}",
        "{{ 'x' ~ outputs.plan }}",
        "{{ .Names }} {{ task }}",
        "{{ outputs.plan.title",
    ],
)
def test_a_text_is_a_template_where_it_names_what_callboard_knows(text: str) -> None:
    assert is_template(text, None)
    assert is_template(text, True)
    assert not is_template(text, False)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{{ .Names }}",
        "{{ .task }}",
        "{{ $.task }}",
        "{{ task.name }}",
        "{{ attempt() }}",
        "{{ tasks }} {{ my-task }}",
        "${{ github.ref }}",
        "%{http_code}",
        "{{ outputs }}",
        "{{ 'task' }}",
        '{"a": {"task": {"attempt": 1}}}',
        "{{}} task",
        "awk '{ print }'",
        "{# task #}",
    ],
)
def test_other_braces_are_not_ours(text: str) -> None:
    assert not is_template(text, None)


@given(any_text | BRACES.map("".join))
def test_a_text_without_our_names_is_no_template_whatever_its_braces(text: str) -> None:
    for name in NAMES:
        text = text.replace(name, "")
    assert not is_template(text, None)


@given(any_text | BRACES.map("".join))
def test_a_text_without_braces_is_no_template_whatever_is_said(text: str) -> None:
    text = text.replace("{", "")
    assert not any(is_template(text, said) for said in (None, True, False))


def test_braces_that_are_never_closed_are_looked_through_once() -> None:
    assert not is_template("{{" * 500_000, None)


def task(**fields: object) -> Task:
    return msgspec.convert({"id": "a", "command": (), **fields}, Task)


@pytest.mark.parametrize(
    ("made", "keys"),
    [
        (task(command=("echo", "{{ task }}", "x", "{{ attempt }}")), ["command[1]", "command[3]"]),
        (task(command=("/bin/sh", "-c", "{{ task }}"), shell=True), ["command"]),
        (task(command=("x",), env={"A": "{{ task }}", "B": "{{ no }}"}), ["env.A"]),
        (task(command=("x",), env={"B": "{{ no }}"}, template=True), ["env.B"]),
        (task(command=("x",), stdin={"kind": "text", "text": "{{ task }}"}), ["stdin.text"]),
        (task(command=("x",), stdin={"kind": "file", "text": "{{ task }}"}), []),
        (task(prompting={"agent": {"name": "x"}, "prompts": ["{{ task }}"]}), ["prompt"]),
        (task(prompting={"agent": {"name": "x"}, "prompts": ["a", "{{ task }}"]}), ["prompt[1]"]),
    ],
)
def test_each_template_has_the_path_of_its_key_and_is_replaced_where_it_stood(made: Task, keys: list[str]) -> None:
    assert [key for key, _ in template_texts(made)] == keys

    again = replace_texts(made, lambda key, text: f"<{key}>{text}")

    assert list(template_texts(replace_texts(made, lambda key, text: key))) == []
    assert [text for _, text in template_texts(again)] == [f"<{key}>{text}" for key, text in template_texts(made)]


def test_all_else_of_a_task_stays_as_it_is() -> None:
    prompting = Prompting(agent=Agent(name="x"), prompts=("{{ task }}", "go"), model="a/b")
    before = Task(id=TaskId("a"), command=("x",), env={"A": "{{ task }}"}, stdin=Stdin("text", "{{ task }}"))

    after = replace_texts(msgspec.structs.replace(before, prompting=prompting), lambda key, text: "a")

    assert after == msgspec.structs.replace(
        before,
        env={"A": "a"},
        stdin=Stdin("text", "a"),
        prompting=msgspec.structs.replace(prompting, prompts=("a", "go")),
    )


def test_a_task_without_templates_is_the_same_object() -> None:
    made = task(command=("docker", "ps", "--format", "{{ .Names }}"))
    assert replace_texts(made, lambda key, text: "") is made
