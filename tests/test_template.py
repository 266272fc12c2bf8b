"""One template: what it names, and what comes of it."""

import shlex
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.template import TemplateError, find_names, render_text
from tests.any_text import any_text

RAW = "braces that are meant as they are stand in {% raw %} … {% endraw %}, or write template = false"
LISTED = "there is outputs, attempt, last_failure, task and workspace"
GIVEN = {
    "outputs": {
        "plan": {"items": [1, {"a": None}], "title": "it's", "on": True},
        "said": "text",
        "braces": "{{ task }}",
    },
    "attempt": 2,
    "last_failure": "exit code 3",
    "task": "use",
}


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        ("{{ outputs.plan.items }}", (("plan", "items"),)),
        ("{{ outputs['a-b'].x[0].y }}", (("a-b", "x"),)),
        ("{{ outputs.a ~ outputs.b.c.d ~ outputs.a }}", (("a",), ("b", "c", "d"))),
        ("{% for x in outputs.plan.items %}{{ x.y.z }}{% endfor %}", (("plan", "items"),)),
        ("{{ outputs.plan.items[attempt].name }}", (("plan", "items"),)),
        ("{{ task }} {{ attempt }} {{ range(3) | list }}", ()),
        ("{% set outputs_of = outputs.plan %}{{ outputs_of.x }}", (("plan",),)),
    ],
)
def test_the_outputs_that_it_names_are_found(text: str, outputs: tuple[tuple[str, ...], ...]) -> None:
    assert sorted(find_names(text).outputs) == sorted(outputs)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ last_failur }}", '"last_failur" is nothing here; did you mean "last_failure"?'),
        ("{{ item }}", '"item" is nothing here; only a task with for_each has one'),
        (
            "{{ outputs.my-plan }}",
            f'"plan" is nothing here; {LISTED}; a task with "-" or "." in its name is outputs["…-plan"]',
        ),
        ("{{ outputs }}", 'outputs needs the name of a task; write outputs.TASK, or outputs["TASK"]'),
        ("{{ outputs[task] }}", 'outputs needs the name of a task; write outputs.TASK, or outputs["TASK"]'),
        (
            "{% for x in outputs.values() if outputs %}{% endfor %}",
            'outputs needs the name of a task; write outputs.TASK, or outputs["TASK"]',
        ),
        ("{{ .Names }}", f"unexpected '.'; {RAW}"),
        ("a\n{{ task }", f"line 2: unexpected '}}'; {RAW}"),
        ("{% include 'x' %}", "a template has no other files; write all of it here"),
        ("{{ task | no_such }}", f"No filter named 'no_such'.; {RAW}"),
    ],
)
def test_what_can_be_known_to_be_wrong_is_told(text: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        find_names(text)

    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("text", "unquoted"),
    [
        ("{{ outputs.a }}", True),
        ("{{ last_failure }}", True),
        ("{{ outputs.a | upper }}", True),
        ("{{ outputs.a | shell_quote }}", False),
        ("{{ outputs.a | tojson | shell_quote }}", False),
        ("{{ attempt }} {{ task }}", False),
    ],
)
def test_what_is_put_into_a_shell_as_it_is_is_noticed(text: str, unquoted: bool) -> None:
    assert find_names(text).unquoted is unquoted


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{ outputs.plan.items }}", '[1, {"a": null}]'),
        ("{{ outputs.plan['items'][1].a }} {{ outputs.plan.on }}", "null true"),
        ("{% for key, value in outputs.plan.items[1].items() %}{{ key }}{% endfor %}", "a"),
        ("{{ outputs.plan.title | shell_quote }}", """'it'"'"'s'"""),
        ("{{ outputs.said }}\n", "text\n"),
        ("{{ outputs.plan.no | default('none') }}", "none"),
        ("{% if outputs.other is defined %}x{% endif %}", ""),
        ("{{ task }} {{ attempt }} {{ last_failure }}", "use 2 exit code 3"),
        ("{{ outputs.braces }} {{ outputs.braces }}", "{{ task }} {{ task }}"),
        ('{{ "<&>" | tojson }}', '"<&>"'),
    ],
)
def test_what_is_known_is_put_in(text: str, made: str) -> None:
    assert render_text(text, GIVEN) == made


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "{{ outputs.plan.titel }}",
            '{{ outputs.plan.titel }}: outputs.plan has no field "titel"; did you mean "title"?',
        ),
        ("{{ outputs.plan.x }}", '{{ outputs.plan.x }}: outputs.plan has no field "x"; its fields: items, title, on'),
        ("{{ outputs.said.x }}", "{{ outputs.said.x }}: outputs.said is a text, which has no fields"),
        ("{{ outputs.gone.x }}", '{{ outputs.gone.x }}: task "gone" has not succeeded, so there is no output of it'),
        ("a\n{{ outputs.plan.items[7] }}", '"{{ outputs.plan.items[7] }}": list object has no element 7'),
        ("{{ 1 / 0 }}", '"{{ 1 / 0 }}": division by zero'),
        ("{{ task.upper }}", '"{{ task.upper }}": a method has no text; is there no such field?'),
        (
            "{{ task.__class__ }}",
            "\"{{ task.__class__ }}\": access to attribute '__class__' of 'str' object is unsafe.",
        ),
        ('{{ "\\u0000" }}', "a NUL character came of it, which no command, prompt or variable can hold"),
    ],
)
def test_what_has_no_value_is_named(text: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render_text(text, GIVEN)

    assert str(caught.value) == problem


@given(any_text.filter(lambda text: "\0" not in text))
def test_whatever_was_given_comes_through_as_it_is_and_quoted_is_one_word(text: str) -> None:
    names = {**GIVEN, "outputs": {"a": text}}

    assert render_text("{{ outputs.a }}", names) == text
    assert shlex.split(render_text("x {{ outputs.a | shell_quote }} y", names)) == ["x", text, "y"]


@given(
    st.lists(
        st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", " ", "outputs", ".plan", "if", "task", "|", "'", "["])
    )
)
def test_any_text_is_a_template_or_said_to_be_none(parts: list[str]) -> None:
    text = "".join(parts)

    with suppress(TemplateError):
        find_names(text)
        assert isinstance(render_text(text, GIVEN), str)


def test_neither_library_is_imported_where_no_plan_needs_it() -> None:
    modules = "import actors.preparation, actors.attempt_output, supervisor.plans, supervisor.app, sys"
    script = f"{modules}; print([name for name in ('jinja2', 'jsonschema', 'referencing') if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"[]\n"
