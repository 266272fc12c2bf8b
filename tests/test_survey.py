"""What is said about a plan without running it."""

import pytest

from protocols.ids import TaskId
from protocols.plan_parser import parse_plan
from supervisor.survey import Environment, Followed, Slowest, Survey, render, survey

A, B, C, D = (TaskId(name) for name in "abcd")
BASE = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "the-secret-value", "JAVA_HOME": "/java"}
PLAN = """
[defaults]
timeout = "10m"
concurrency = 3
[roles.java]
pass_env = ["JAVA_*"]
concurrency = 1
[[tasks]]
id = "a"
command = ["true"]
[[tasks]]
id = "b"
command = ["true"]
needs = ["a"]
[[tasks]]
id = "c"
role = "java"
command = ["true"]
retries = 1
env = { JAVA_HOME = "set-by-the-plan", PATH = "/opt" }
[[tasks]]
id = "d"
command = ["true"]
needs = ["b"]
"""


def test_a_survey_tells_waves_paths_caps_and_environments() -> None:
    assert survey(parse_plan(PLAN, "x.toml"), "x.toml", BASE) == Survey(
        plan="x.toml",
        tasks=4,
        concurrency=3,
        role_concurrency={"java": 1},
        waves=((A, C), (B,), (D,)),
        critical_path=(A, B, D),
        slowest=Slowest((A, B, D), 1800.0),
        environments=(
            Environment((A, B, D), passed=("PATH",), set=(), withheld=("AWS_SECRET_ACCESS_KEY", "JAVA_HOME")),
            Environment((C,), passed=(), set=("JAVA_HOME", "PATH"), withheld=("AWS_SECRET_ACCESS_KEY",)),
        ),
    )


def test_a_task_on_a_terminal_has_an_environment_of_its_own() -> None:
    tasks = [f'[[tasks]]\nid = "{source}"\nsource = "{source}"\ncommand = ["true"]' for source in ("pipe", "pty")]

    found = survey(parse_plan("\n".join(tasks), "x.toml"), "x.toml", {"PATH": "/bin"})

    assert [(each.tasks, each.passed) for each in found.environments] == [
        (("pipe",), ("PATH",)),
        (("pty",), ("PATH", "TERM")),
    ]


def test_the_slowest_chain_counts_every_attempt() -> None:
    plan = parse_plan(PLAN.replace("retries = 1", "retries = 5"), "x.toml")

    assert survey(plan, "x.toml", {}).slowest == Slowest((C,), 3600.0)


def test_without_a_timeout_for_each_task_nothing_is_said_about_the_slowest_chain() -> None:
    plan = parse_plan(PLAN.replace('timeout = "10m"\n', ""), "x.toml")

    assert survey(plan, "x.toml", {}).slowest is None


def test_people_get_the_same_in_lines() -> None:
    text = render(survey(parse_plan(PLAN, "x.toml"), "x.toml", BASE))

    assert (
        text
        == """\
x.toml: 4 tasks in 3 waves, at most 3 at once, 1 of role java
wave 1: a, c
wave 2: b
wave 3: d
critical path: a → b → d
longest by timeouts (30m): a → b → d
environment of a, b, d
  passed: PATH
  set: none
  withheld: AWS_SECRET_ACCESS_KEY, JAVA_HOME
environment of c
  passed: none
  set: JAVA_HOME, PATH
  withheld: AWS_SECRET_ACCESS_KEY"""
    )


def test_long_lists_are_wrapped_between_names() -> None:
    base = {f"VARIABLE-WITH-A-NAME-{i}": "" for i in range(20)}
    plan = parse_plan('tasks = [{ id = "a", command = ["true"] }]', "x.toml")

    lines = render(survey(plan, "x.toml", base)).splitlines()

    assert max(map(len, lines)) <= 100
    assert [name.strip() for line in lines[6:] for name in line.split(":")[-1].split(",") if name.strip()] == sorted(
        base
    )
    assert lines[3] == "environment of all tasks"


def test_names_that_could_not_be_printed_are_escaped() -> None:
    plan = parse_plan('tasks = [{ id = "a", command = ["true"] }]', "x.toml")

    found = survey(plan, "\udc80.toml", {"A\x1b\udc80": ""})

    assert (found.plan, found.environments[0].withheld) == (r"\udc80.toml", (r"A\x1b\udc80",))


def test_lines_fit_a_narrow_terminal() -> None:
    plan = parse_plan(PLAN, "x.toml")
    text = render(survey(plan, "x.toml", {f"VARIABLE_{number}": "" for number in range(20)}), 40)

    assert all(len(line) <= 40 for line in text.splitlines())


@pytest.mark.parametrize(("source", "readable", "notes"), [("pty", False, 1), ("pty", True, 0), ("pipe", False, 0)])
def test_a_plan_with_terminals_says_where_nobody_will_see_what_is_asked_there(
    source: str, readable: bool, notes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.survey.can_read_screens", lambda: readable)
    plan = parse_plan(f'tasks = [{{ id = "a", command = ["sh"], source = "{source}" }}]', "x.toml")

    found = survey(plan, "x.toml", {})

    assert len(found.notes) == notes
    assert ("note: what is asked on the terminals" in render(found)) == bool(notes)


def test_the_files_that_are_followed_are_told() -> None:
    text = """
[[tasks]]
id = "a"
source = "logfile"
logfile = { path = "/log", until = "DONE" }
[[tasks]]
id = "b"
source = "logfile"
logfile = { path = "/log", appear_within = "1m" }
command = ["true"]
"""

    found = survey(parse_plan(text, "x.toml"), "x.toml", {})

    assert found.logfiles == (Followed(A, "/log", 5.0, "DONE", False), Followed(B, "/log", 60.0, "", True))
    assert [each.tasks for each in found.environments] == [(B,)]
    lines = render(found, 200).splitlines()
    assert "a follows: /log, which has to appear within 5s, until it gets the line DONE, and runs nothing" in lines
    assert "b follows: /log, which has to appear within 1m" in lines
    assert "environment of b" in lines


def test_what_says_when_a_task_starts_is_told() -> None:
    text = """
        defaults.on_failure = "stop"
        labels.gpu.concurrency = 2
        [[tasks]]
        id = "a"
        command = ["true"]
        [[tasks]]
        id = "b"
        command = ["true"]
        priority = 5
        labels = ["gpu"]
        needs = [{ task = "a", on = "failure" }]
    """

    said = render(survey(parse_plan(text, "x.toml"), "x.toml", BASE))

    assert "at most 16 at once, 2 labelled gpu" in said
    assert "order of b: when a has failed, priority 5, label gpu" in said
    assert "on failure: the first one that is not allowed stops the run" in said
