"""What is shown of a template before anything has run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.template import render_text
from actors.template_preview import Preview, preview

KNOWN = {"attempt": 1, "last_failure": "", "task": "use"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ task }} {{ attempt }}\n", Preview("use 1\n")),
        ("{% if attempt > 1 %}again: {{ last_failure }}{% endif %}go", Preview("go")),
        ("do {{ outputs.plan.title }}", Preview("do ‹outputs.plan.title›", waits=True)),
        ("do {{ outputs['a-b'].x | shell_quote }}", Preview("do ‹outputs['a-b'].x | shell_quote›", waits=True)),
        ("a  {{- outputs.plan -}}  b", Preview("a‹outputs.plan›b", waits=True)),
        ("""{{ outputs["a \\"b\\" 'c'"] }}""", Preview("""‹outputs["a \\"b\\" 'c'"]›""", waits=True)),
        ("{% raw %}{{ outputs.plan }}{% endraw %} {{ task }}", Preview("{{ outputs.plan }} use")),
    ],
)
def test_what_is_known_is_put_in_and_the_rest_is_named(text: str, shown: Preview) -> None:
    assert preview(text, KNOWN) == shown


@pytest.mark.parametrize(
    "text",
    [
        "{% for each in outputs.plan.steps %}{{ each }}{% endfor %} {{ task }}",
        "{% if outputs.plan.title %}{{ outputs.plan.title }}{% endif %}",
        "{% set title = outputs.plan.title %}{{ title }}",
    ],
)
def test_a_text_that_hangs_on_what_is_not_known_stays_as_it_was_written(text: str) -> None:
    assert preview(text, KNOWN) == Preview(text, waits=True)


def test_a_template_of_which_nothing_can_come_is_told() -> None:
    assert preview("{{ 1 / 0 }}", KNOWN) == Preview("{{ 1 / 0 }}", problem='"{{ 1 / 0 }}": division by zero')


@given(st.lists(st.sampled_from(["{{ task }}", "{{- attempt }}", " \n", "x", "{# c #}", "{% if 1 %}", "{% endif %}"])))
def test_a_text_in_which_everything_is_known_is_what_the_first_attempt_gets(parts: list[str]) -> None:
    text = "{% if task %}" + "".join(part for part in parts if "if" not in part) + "{% endif %}"

    assert preview(text, KNOWN) == Preview(render_text(text, KNOWN))


@given(st.lists(st.sampled_from(["{{ outputs.a.b }}", "'", '"', "\\", "‹", "x"])))
def test_nothing_of_the_text_around_a_placeholder_changes(parts: list[str]) -> None:
    expected = "".join("‹outputs.a.b›" if part.startswith("{{") else part for part in parts)

    assert preview("".join(parts), KNOWN).text == expected
