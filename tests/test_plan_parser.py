"""What is wrong with a plan as a whole: names, needs, roles, keys in the wrong place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PlanError
from protocols.plan import Logfile, Plan
from protocols.plan_level import COMMON_KEYS
from protocols.plan_parser import parse_plan

SAFE = 'is not a safe name; use up to 64 letters, digits, ".", "_" and "-", the first a letter or a digit'


def problems(text: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "x.toml")
    assert all(line.startswith("x.toml: ") for line in caught.value.problems)
    return [line.removeprefix("x.toml: ") for line in caught.value.problems]


def tasks(**needs: str) -> str:
    """A plan of these tasks, with what each needs in words."""
    return "\n".join(
        f'[[tasks]]\nid = "{name}"\ncommand = ["true"]\nneeds = {wanted.split()}' for name, wanted in needs.items()
    )


@pytest.mark.parametrize("text", ["", "tasks = []", "[defaults]\nretries = 1"])
def test_a_plan_without_tasks_is_refused(text: str) -> None:
    assert problems(text) == ["tasks: a plan needs at least one task; add [[tasks]] with an id and a command"]


def test_tasks_that_are_no_tables_are_refused() -> None:
    assert problems("tasks = 5") == ["tasks: expected a list of tables, got a number; write [[tasks]]"]
    assert problems("[tasks]\nid = 'a'") == ["tasks: expected a list of tables, got a table; write [[tasks]]"]
    assert problems("tasks = ['make']") == ["tasks[0]: expected a table, got a string"]
    assert problems("defaults = 1\nroles = []\n" + tasks(a="")) == [
        "defaults: expected a table, got a number",
        "roles: expected a table, got a list",
    ]


def test_an_unknown_need_is_refused_with_the_nearest_task() -> None:
    assert problems(tasks(lint="", wbs="", archive="lint wbss")) == [
        'tasks[2].needs: no task "wbss"; did you mean "wbs"?'
    ]
    assert problems(tasks(a="elephant")) == ['tasks[0].needs: no task "elephant"; add it, or remove this need']


def test_a_cycle_is_named_in_order() -> None:
    assert problems(tasks(x="a", c="a", a="b", b="c")) == [
        "tasks[1].needs: cycle c → a → b → c, each needs the next; remove one of these needs"
    ]


def test_a_long_cycle_is_cut() -> None:
    ring = {f"t{i}": f"t{(i + 1) % 100}" for i in range(100)}

    (problem,) = problems(tasks(**ring))

    assert "cycle t0 → t1 → t2 → t3 → t4 → t5 → t6 → t7 → t8 → t9 → … (90 more) → t0, each" in problem


def test_a_task_that_needs_itself_is_refused() -> None:
    assert problems(tasks(a="a")) == ["tasks[0].needs: a task cannot need itself; remove it"]


def test_an_id_that_is_used_twice_is_refused() -> None:
    assert problems(tasks(a="") + "\n" + tasks(b="a", a="")) == [
        'tasks[2].id: "a" is the id of tasks[0] too; rename one of them'
    ]


@pytest.mark.parametrize("name", ["..", ".", "../x", "a/b", "-x", ".x", "ü", "a b", "x" * 65, "a\\n"])
def test_a_name_that_is_no_safe_file_name_is_refused(name: str) -> None:
    assert problems(f'tasks = [{{ id = "{name}", command = ["true"] }}]') == [f'tasks[0].id: "{name}" {SAFE}']
    assert problems(f'roles."{name}" = {{}}\n{tasks(a="")}')[0].endswith(f'"{name}" {SAFE}')


@pytest.mark.parametrize("name", ["a", "0", "A.b_c-d", "x" * 64])
def test_a_safe_name_is_taken(name: str) -> None:
    assert parse_plan(tasks(**{name: ""}), "x.toml").tasks[0].id == name


def test_a_task_without_an_id_is_refused() -> None:
    assert problems('tasks = [{ command = ["true"] }]') == ["tasks[0].id: missing; give the task a name"]
    assert problems('tasks = [{ id = "", command = ["true"] }]') == [
        "tasks[0].id: empty; write something, or leave the key out"
    ]


def test_a_task_that_no_level_gives_a_command_is_refused() -> None:
    assert problems('tasks = [{ id = "a" }]') == [
        'tasks[0].command: missing; write what to run, such as ["make", "test"]'
    ]


def test_an_unknown_role_is_refused_with_the_nearest_one() -> None:
    task = 'tasks = [{ id = "a", role = "lnt", command = ["true"] }]'

    assert problems(f"roles.lint = {{}}\n{task}") == ['tasks[0].role: no role "lnt"; did you mean "lint"?']
    assert problems(task) == ['tasks[0].role: no role "lnt"; add [roles.lnt]']


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    assert problems('tasks = [{ id = "a", command = ["true"], timeuot = "5s" }]') == [
        'tasks[0].timeuot: no such key; did you mean "timeout"?'
    ]
    assert problems("[default]\nretries = 1\n" + tasks(a="")) == ['default: no such key; did you mean "defaults"?']
    assert problems("[defaults]\nzzz = 1\n" + tasks(a="")) == ["defaults.zzz: no such key; remove it"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("retries = 1", "retries: this key belongs to [defaults], [roles.NAME] or [[tasks]]; move it there"),
        ("concurrency = 1", "concurrency: this key belongs to [defaults] or [roles.NAME]; move it there"),
        ("defaults.needs = []", "defaults.needs: this key belongs to one task; move it to [[tasks]]"),
        ("roles.x.id = 'a'", "roles.x.id: this key belongs to one task; move it to [[tasks]]"),
    ],
)
def test_a_key_in_the_wrong_place_is_refused_with_the_right_one(text: str, expected: str) -> None:
    assert problems(f"{text}\n{tasks(a='')}") == [expected]


def test_the_concurrency_of_a_task_is_refused_with_where_it_belongs() -> None:
    (problem,) = problems('tasks = [{ id = "a", command = ["true"], concurrency = 2 }]')

    assert problem == (
        "tasks[0].concurrency: a task runs once; "
        "move this key to [defaults] for the whole run, to [roles.NAME] for a role, or to [labels.NAME] for a label"
    )


def test_keys_of_later_versions_are_refused_for_what_they_are() -> None:
    assert problems('tasks = [{ id = "a", command = ["true"], session = "x" }]') == [
        "tasks[0].session: this key is not supported by this version; remove it",
    ]


def test_all_mistakes_of_a_plan_are_told_at_once_and_each_once() -> None:
    text = """
        defaults.command = "make"
        defaults.timeout = 90
        roles.lint.retries = -1
        tasks = [{ id = "a", needs = ["b"] }, { id = "b", role = "lint" }, { id = "c", needs = ["d"], cwd = 1 }]
    """

    assert problems(text) == [
        'defaults.timeout: expected a duration, got a number; write "90s"',
        "roles.lint.retries: out of range; write a number from 0 to 1000000",
        'tasks[2].cwd: expected a string, got a number; write "1"',
        'tasks[2].needs: no task "d"; add it, or remove this need',
        'defaults.command: a string needs shell = true; add that, or write a list such as ["make", "test"]',
    ]


def test_a_mistake_in_a_command_has_no_second_one_in_its_wake() -> None:
    assert problems("tasks = [{ id = 'a', command = 5 }]") == [
        "tasks[0].command: expected a list of strings, got a number"
    ]


def test_hundreds_of_mistakes_are_told_without_a_guess_for_each() -> None:
    many = {f"task-{i}": f"tusk-{i}" for i in range(300)}

    found = problems(tasks(**many))

    assert found[0] == 'tasks[0].needs: no task "tusk-0"; did you mean "task-0"?'
    assert found[-1] == 'tasks[299].needs: no task "tusk-299"; add it, or remove this need'


def test_toml_that_is_none_is_told_by_line_and_column() -> None:
    assert problems("[[tasks]]\nid = \n") == ["line 2, column 6: not valid TOML: Invalid value; correct it"]


_SCALARS = (
    st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "b", "1s", "none", "\0", "ü", "=", "x" * 70])
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "text", "=", ""]), inner, max_size=2)
    ),
    max_leaves=4,
)
_LEVELS = st.dictionaries(
    st.sampled_from([*COMMON_KEYS, "id", "role", "needs", "concurrency", "agent", "x"]), _VALUES, max_size=6
)


def toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@given(st.fixed_dictionaries({}, optional={
    "defaults": _LEVELS | _VALUES,
    "roles": st.dictionaries(st.sampled_from(["a", "b", "x y"]), _LEVELS, max_size=2) | _VALUES,
    "tasks": st.lists(_LEVELS, max_size=3) | _VALUES,
    "x": _VALUES,
}))  # fmt: skip
def test_whatever_a_plan_holds_it_is_a_plan_or_a_list_of_mistakes(document: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in document.items())

    result: Plan | PlanError
    try:
        result = parse_plan(text, "x.toml")
    except PlanError as error:
        result = error

    if isinstance(result, Plan):
        assert result.tasks
    else:
        assert result.problems
        assert all(line.startswith("x.toml: ") and line.isprintable() for line in result.problems)


def test_a_task_that_follows_a_file_needs_no_command() -> None:
    text = """
[roles.log]
source = "logfile"
logfile = { path = "log", until = "DONE" }
[[tasks]]
id = "a"
role = "log"
[[tasks]]
id = "b"
role = "log"
logfile = { path = "other", appear_within = "0s" }
command = ["true"]
[[tasks]]
id = "c"
source = "logfile"
command = ["true"]
[[tasks]]
id = "d"
role = "log"
source = "pipe"
command = ["true"]
"""

    a, b, c, d = parse_plan(text, "x.toml").tasks

    assert (a.command, a.logfile) == ((), Logfile("log", 5.0, "DONE"))
    assert (b.command, b.logfile) == (("true",), Logfile("other", 0.0, ""))
    assert (c.source, c.logfile) == ("logfile", None)
    assert (d.source, d.logfile) == ("pipe", None)


def test_a_task_that_writes_its_files_itself_needs_a_command() -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan('tasks = [{ id = "a", source = "logfile" }]', "x.toml")

    assert caught.value.problems == ('x.toml: tasks[0].command: missing; write what to run, such as ["make", "test"]',)


def test_input_for_nobody_is_refused() -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(
            'tasks = [{ id = "a", source = "logfile", logfile = { path = "x" }, stdin = { text = "y" } }]', "x.toml"
        )

    assert caught.value.problems == (
        "x.toml: tasks[0].stdin: without a command nobody reads it; add a command, or remove this key",
    )


def test_a_limit_of_output_that_nobody_could_keep_is_refused() -> None:
    limits = '{ spool_limit = "1MB" }'
    with pytest.raises(PlanError) as caught:
        parse_plan(f'tasks = [{{ id = "a", command = ["true"], source = "logfile", limits = {limits} }}]', "x.toml")

    rule = "who writes its spool itself cannot be held up; remove this limit, or choose another source"
    assert caught.value.problems == (f"x.toml: tasks[0].limits: spool_limit: {rule}",)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('for_each = "a"', 'for_each: expected a table, got a string; write { from = "TASK", path = "$[*]" }'),
        ('output = "x"', 'output: expected a table, got a string; write { file = "PATH" } or { stdout_json = true }'),
        (
            "retry = 3",
            "retry: expected a table, got a number; write { exit = 2, timeout = 0 }, or retries = 2 for all causes",
        ),
        ('budget = "2h"', 'budget: expected a table, got a string; write { time = "2h" }'),
        (
            'budget = { time = "soon" }',
            'budget.time: "soon": not a duration; write it like "90s", "10m", "1h30m" or "500ms"',
        ),
        ("budget = { soft = {} }", "budget: limits nothing; write some of time, attempts, tokens and cost"),
        ('secrets = "x"', 'secrets: expected a table, got a string; write { NAME = { env = "VARIABLE" } }'),
        ('for_each = { from = "b", limit = 10001 }', "for_each.limit: out of range; write a number from 1 to 10000"),
    ],
)
def test_who_wrote_something_else_than_a_table_reads_what_to_write(said: str, told: str) -> None:
    assert problems(f"{tasks(b='', a='')}\n{said}") == [f"tasks[1].{told}"]


def test_an_instance_that_is_written_wrongly_misses_no_command() -> None:
    told = 'tasks[0].instance: expected a table, got a string; write { plan = "sub.toml" }'

    assert problems('[[tasks]]\nid = "a"\ninstance = "sub.toml"') == [told]
