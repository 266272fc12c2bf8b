"""Roles that every plan knows, and which a session has that names none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.plan import Task
from protocols.plan_parser import parse_plan
from protocols.role_detection import NOT_DETECTED, detect_role
from protocols.roles import ROLES
from supervisor.survey import render, survey

_AGENT = '[agents.a]\nattach = "http://127.0.0.1:1"\n[defaults]\nagent = "a"\ntimeout = "1h"\n'


def _task(keys: str, roles: str = "") -> Task:
    return parse_plan(f'{_AGENT}{roles}[[tasks]]\nid = "it"\n{keys}\n', "plan.toml").tasks[0]


@pytest.mark.parametrize(
    ("role", "minutes"),
    [
        ("test-specialist", 30),
        ("documentation-specialist", 15),
        ("refactoring-specialist", 40),
        ("code-generator", 10),
        ("bug-fixer", 20),
        ("performance-optimizer", 60),
        ("meta-orchestrator", 120),
    ],
)
def test_a_role_that_every_plan_knows_has_its_timeout_and_its_words(role: str, minutes: int) -> None:
    task = _task(f'role = "{role}"\nprompt = "Go."')

    assert task.timeout == minutes * 60
    assert task.prompting is not None
    assert task.prompting.prompts == (f"{ROLES[role].session.preamble}\n\nGo.",)


def test_a_plan_changes_what_it_says_of_such_a_role_and_keeps_the_rest() -> None:
    task = _task('role = "reviewer"\nprompt = ["Go.", "On."]', '[roles.reviewer]\ntimeout = "5m"\npreamble = "Look."\n')

    assert (task.timeout, task.retries) == (300.0, 1)
    assert task.prompting is not None
    assert task.prompting.prompts == ("Look.\n\nGo.", "On.")
    assert [rule.reply for rule in task.prompting.permissions if rule.tool == "edit"] == ["deny"]


def test_what_a_task_says_counts_more_than_its_role() -> None:
    task = _task('role = "bug-fixer"\nprompt = "Go."\ntimeout = "1m"\npreamble = ""')

    assert task.timeout == 60.0
    assert task.prompting is not None
    assert task.prompting.prompts == ("Go.",)


def test_a_role_without_anything_adds_nothing() -> None:
    assert _task('role = "command"\ncommand = ["true"]').timeout == 3600.0


@pytest.mark.parametrize(
    ("task", "prompt", "role"),
    [
        ("fix-login", "It crashes with a traceback; find out why.", "bug-fixer"),
        ("unit_tests", "Cover the parser with pytest.", "test-specialist"),
        ("docs", "Bring the README up to date.", "documentation-specialist"),
        ("speed", "Make it faster and show a benchmark.", "performance-optimizer"),
        ("review", "Look at the last commit.", "reviewer"),
        ("feature", "Implement export to CSV, a feature.", "code-generator"),
        ("a", "Look around.", NOT_DETECTED),
        ("a", "Review the plan.", NOT_DETECTED),
        ("lead", "Orchestrate ten agents that write tests with pytest.", NOT_DETECTED),
    ],
)
def test_a_role_is_found_by_the_words_of_a_session(task: str, prompt: str, role: str) -> None:
    assert detect_role(task, prompt).role == role


_SAID = st.lists(st.sampled_from(["fix", "tests", "review", "plan", "orchestrate", "a", "docs"])).map(" ".join)


@given(st.text(), st.text() | _SAID)
def test_nobody_becomes_a_meta_orchestrator_by_words_and_every_choice_has_a_reason(task: str, prompt: str) -> None:
    found = detect_role(task, prompt)

    assert found.reason
    assert found.role in ROLES
    assert found.role != "meta-orchestrator"


def test_a_session_gets_the_role_that_its_words_tell_and_check_shows_why() -> None:
    keys = 'id = "fix-it"\nprompt = "The parser crashes."\n[[tasks]]\nid = "x"\nprompt = "Coordinate the others."'
    plan = parse_plan(f"{_AGENT}[[tasks]]\n{keys}\n", "plan.toml")
    said = render(survey(plan, "plan.toml", {}), 200)

    assert [task.role for task in plan.tasks] == ["bug-fixer", None]
    assert plan.tasks[0].timeout == 1200.0
    assert "role of fix-it: bug-fixer (score 6, its words: fix)" in said
    assert (
        "role of x: none (its words (coordinate) are those of a meta-orchestrator, which only a plan can name" in said
    )


@pytest.mark.parametrize("keys", ['command = ["pytest", "tests"]', 'prompt = "Fix the bug."\nrestart = "always"'])
def test_a_command_and_a_service_get_no_role_that_they_do_not_name(keys: str) -> None:
    assert _task(keys).role is None
