"""The keys output and template of a plan, and whether they go with the others."""

import pytest

from protocols.errors import PlanError
from protocols.plan import Task
from protocols.plan_parser import parse_plan
from protocols.task_output import Output

AGENT = "[agents.coder]\n"
WHERE = 'write { file = "PATH" }, { stdout_json = true }, { last_message = true } or { report = true }'


def read(text: str) -> Task:
    return parse_plan(f'[[tasks]]\nid = "a"\n{text}\n{AGENT}', "x.toml").tasks[0]


def problems(text: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        read(text)
    return [problem.removeprefix("x.toml: tasks[0].") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "output", "form"),
    [
        ('{ file = "x.json" }', Output(kind="file", path="x.json"), "json"),
        ("{ stdout_json = true }", Output(kind="stdout-json"), "json"),
        ('{ file = "x", last_message = false }', Output(kind="file", path="x"), "json"),
        (
            '{ file = "x", schema = "s", max_output = "1MiB" }',
            Output(kind="file", path="x", schema="s", max_output=2**20),
            "json",
        ),
    ],
)
def test_a_command_gives_a_file_or_what_it_prints(written: str, output: Output, form: str) -> None:
    found = read(f'command = ["x"]\noutput = {written}').output

    assert found == output
    assert found.form == form


@pytest.mark.parametrize(("schema", "form"), [("", "text"), (', schema = "s"', "json")])
def test_what_an_agent_says_last_is_text_but_where_a_schema_says_what_it_is(schema: str, form: str) -> None:
    output = read(f'agent = "coder"\nprompt = "go"\noutput = {{ last_message = true{schema} }}').output

    assert output is not None
    assert (output.kind, output.form, output.max_output) == ("last-message", form, 8 * 2**20)


def test_a_role_may_say_it_for_its_tasks_and_a_task_something_else() -> None:
    text = """
        [roles.giver]
        output = { file = "r.json" }
        template = false
        [[tasks]]
        id = "a"
        role = "giver"
        command = ["x"]
        [[tasks]]
        id = "b"
        role = "giver"
        command = ["x"]
        output = { stdout_json = true }
        template = true
    """

    a, b = parse_plan(text, "x.toml").tasks

    assert (a.output, a.template) == (Output(kind="file", path="r.json"), False)
    assert (b.output, b.template) == (Output(kind="stdout-json"), True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("output = {}", f"output: none of the four places; {WHERE}"),
        ('output = { schema = "s" }', f"output: none of the four places; {WHERE}"),
        ('output = { file = "x", stdout_json = true }', f"output: more than one of the four places; {WHERE}"),
        (
            'output = { file = "x", max_output = 8 }',
            'output.max_output: expected a size, got a number; write it like "500MB"',
        ),
        (
            'output = { file = "x", max_output = "1GB" }',
            'output.max_output: it is read into memory; write at most "256MiB"',
        ),
        ('output = { files = "x" }', 'output.files: no such key; did you mean "file"?'),
        (
            'output = "x.json"',
            'output: expected a table, got a string; write { file = "PATH" } or { stdout_json = true }',
        ),
        ('template = "yes"', "template: expected true or false, got a string"),
        (
            "output = { last_message = true }",
            'output: only a session has a last message; write { file = "PATH" } or { stdout_json = true }',
        ),
        (
            'output = { stdout_json = true }\nsource = "pty"',
            'output: this task has no stdout of its own; write { file = "PATH" }',
        ),
        (
            'output = { file = "x" }\nrestart = "always"',
            "output: a task that is restarted always is never done; remove this key",
        ),
    ],
)
def test_mistakes_are_told_with_their_key(text: str, problem: str) -> None:
    assert problem in problems(f'command = ["x"]\n{text}')


def test_a_session_has_no_stdout() -> None:
    assert problems('agent = "coder"\nprompt = "go"\noutput = { stdout_json = true }') == [
        'output: this task has no stdout of its own; write { file = "PATH" }'
    ]
