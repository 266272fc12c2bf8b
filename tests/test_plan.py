"""What a plan says once its levels are resolved."""

from protocols.ids import TaskId
from protocols.plan import Plan, Stdin, Task
from protocols.plan_parser import parse_plan

A, B = TaskId("a"), TaskId("b")
EVERYTHING = """
[defaults]
concurrency = 4
cwd = "src"
timeout = "10m"
grace = "3s"
env = { LEVEL = "defaults", FROM_DEFAULTS = "" }
pass_env = ["JAVA_*"]

[roles.lint]
concurrency = 2
timeout = "90s"
retries = 2
backoff = "500ms"
env = { LEVEL = "role", FROM_ROLE = "1" }
pass_env = ["RUFF_*", "JAVA_*"]

[roles.free]

[[tasks]]
id = "a"
role = "lint"
command = ["ruff", "check", ""]
retries = 0
env = { LEVEL = "task" }
stdin = "pipe"
progress_file = "TODO.md"

[[tasks]]
id = "b"
command = "echo $X | cat"
shell = true
cwd = "."
needs = ["a"]
grace = "0s"
stdin = { file = "input.txt" }
allow_failure = true
"""


def test_a_task_says_more_than_its_role_and_a_role_more_than_the_defaults() -> None:
    lint = Task(
        id=A,
        command=("ruff", "check", ""),
        role="lint",
        cwd="src",
        env={"LEVEL": "task", "FROM_DEFAULTS": "", "FROM_ROLE": "1"},
        pass_env=("JAVA_*", "RUFF_*"),
        timeout=90.0,
        retries=0,
        backoff=0.5,
        grace=3.0,
        stdin=Stdin("pipe"),
        progress_file="TODO.md",
    )
    echo = Task(
        id=B,
        command=("/bin/sh", "-c", "echo $X | cat"),
        shell=True,
        cwd=".",
        env={"LEVEL": "defaults", "FROM_DEFAULTS": ""},
        pass_env=("JAVA_*",),
        needs=(A,),
        timeout=600.0,
        grace=0.0,
        stdin=Stdin("file", "input.txt"),
        allow_failure=True,
    )

    plan = parse_plan(EVERYTHING, "x.toml")

    assert plan == Plan(tasks=(lint, echo), concurrency=4, role_concurrency={"lint": 2}, grace=3.0)
    assert plan.needs() == {A: (), B: (A,)}


def test_what_no_level_says_has_a_default() -> None:
    plan = parse_plan('tasks = [{ id = "a", command = ["true"] }]', "x.toml")

    assert plan == Plan(tasks=(Task(id=A, command=("true",)),), concurrency=16, role_concurrency={}, grace=10.0)
    assert plan.tasks[0] == Task(
        id=A,
        role=None,
        command=("true",),
        shell=False,
        cwd=".",
        env={},
        pass_env=(),
        needs=(),
        timeout=None,
        retries=0,
        backoff=1.0,
        grace=10.0,
        stdin=Stdin("none"),
        allow_failure=False,
        progress_file=None,
    )


def test_the_grace_of_the_settings_applies_where_the_plan_says_none() -> None:
    plan = parse_plan('tasks = [{ id = "a", command = ["true"] }]', "x.toml", grace=2.5)

    assert (plan.grace, plan.tasks[0].grace) == (2.5, 2.5)


def test_a_role_may_say_the_command_of_its_tasks() -> None:
    plan = parse_plan('roles.x = { command = "ls", shell = true }\ntasks = [{ id = "a", role = "x" }]', "x.toml")

    assert plan.tasks[0].command == ("/bin/sh", "-c", "ls")


def test_the_defaults_are_not_shared_between_tasks() -> None:
    plan = parse_plan('tasks = [{ id = "a", command = ["true"] }, { id = "b", command = ["true"] }]', "x.toml")

    plan.tasks[0].env["X"] = "1"

    assert plan.tasks[1].env == {}
