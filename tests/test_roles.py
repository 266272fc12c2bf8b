"""Roles that every plan knows, and which of them a task has that names none."""

import pytest

from protocols.errors import PlanError
from protocols.plan import Task
from protocols.plan_level import Level
from protocols.plan_parser import parse_plan
from protocols.roles import ROLES
from protocols.worker_limits import WorkerLimits
from supervisor.survey import render, survey

_AGENT = '[agents.a]\nattach = "http://127.0.0.1:1"\n[defaults]\nagent = "a"\ntimeout = "1h"\n'

_KNOWN = (
    ("test-specialist", 30, 8, 1),
    ("documentation-specialist", 15, 4, 1),
    ("refactoring-specialist", 40, 8, 1),
    ("code-generator", 10, 8, 1),
    ("bug-fixer", 20, 8, 1),
    ("performance-optimizer", 60, 16, 1),
    ("meta-orchestrator", 120, 32, 0),
    ("planner", 15, 4, 1),
    ("reviewer", 20, 8, 1),
)
"""Minutes of its timeout, GiB of its memory, its retries."""


def _task(keys: str, roles: str = "") -> Task:
    return parse_plan(f'{_AGENT}{roles}[[tasks]]\nid = "it"\n{keys}\n', "plan.toml").tasks[0]


@pytest.mark.parametrize(
    ("role", "minutes"),
    [(role, minutes) for role, minutes, *_ in _KNOWN],
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


def test_each_role_that_works_has_all_that_a_role_says() -> None:
    assert set(ROLES) == {name for name, *_ in _KNOWN} | {"command"}
    for name, minutes, gib, retries in _KNOWN:
        level = ROLES[name]
        assert (level.timeout, level.retries) == (minutes * 60, retries)
        assert level.session.preamble
        assert set(level.session.rules) == {"edit", "bash"}
        assert level.limits == WorkerLimits(memory=gib * 2**30, open_files=4096)
    assert ROLES["command"] == Level()


def test_the_limits_of_a_role_hold_for_its_commands_and_a_plan_changes_or_lifts_them() -> None:
    command = 'role = "reviewer"\ncommand = ["true"]'

    assert _task(command).limits == WorkerLimits(memory=8 * 2**30, open_files=4096)
    own = _task(command, "[roles.reviewer]\nlimits = { memory = '1GiB', open_files = 'none' }\n")
    assert own.limits == WorkerLimits(memory=2**30)
    assert _task(f'{command}\nlimits = "none"').limits == WorkerLimits(nice=0)
    assert _task('role = "reviewer"\nprompt = "Go."').limits == WorkerLimits()


@pytest.mark.parametrize(
    ("keys", "role"),
    [
        ('command = ["uv", "run", "pytest", "-q"]', "test-specialist"),
        ('prompt = "Fix the bug that crashes it."\nrestart = "always"', "bug-fixer"),
        ('title = "Optimize the parser"\ncommand = ["./go"]', "performance-optimizer"),
        ('command = "cat docs/a.md | mkdocs build"\nshell = true', "documentation-specialist"),
        ('command = ["./go"]\noutput = { file = "docs/CHANGELOG.md" }', "documentation-specialist"),
    ],
)
def test_a_command_and_a_service_get_the_name_of_a_role_and_no_end_that_nobody_wrote(keys: str, role: str) -> None:
    task = _task(keys)

    assert (task.role, task.timeout, task.retries, task.limits) == (role, 3600.0, 0, WorkerLimits())
    assert task.role_reason.startswith("score ")
    assert not task.unsaid_timeout


def test_a_plan_gives_commands_all_of_their_detected_roles_or_looks_for_none() -> None:
    tasks = (
        '[[tasks]]\nid = "test"\ncommand = ["pytest"]\n[[tasks]]\nid = "own"\ncommand = ["pytest"]\ntimeout = "1m"\n'
    )
    full = parse_plan(f'[defaults]\ndetect_roles = "full"\n{tasks}', "plan.toml")
    off = parse_plan(f'[defaults]\ndetect_roles = "off"\n{tasks}', "plan.toml")
    said = render(survey(full, "plan.toml", {}), 200)

    assert [(task.role, task.timeout, task.unsaid_timeout) for task in full.tasks] == [
        ("test-specialist", 1800.0, True),
        ("test-specialist", 60.0, False),
    ]
    assert "role of test: test-specialist, timeout 30m (detected: score 8, by pytest (command), test (id))" in said
    assert "role of own: test-specialist (detected: score 4, by pytest (command))" in said
    assert [(task.role, task.role_reason) for task in off.tasks] == [(None, ""), (None, "")]
    with pytest.raises(PlanError, match=r'defaults.detect_roles: "ful" is no way to look for roles; did you mean'):
        parse_plan(f'[defaults]\ndetect_roles = "ful"\n{tasks}', "plan.toml")


def test_a_named_role_wins_over_all_words() -> None:
    task = _task('role = "planner"\ntitle = "Fix the bug"\ncommand = ["pytest", "tests"]')

    assert (task.role, task.role_reason) == ("planner", "")


def test_check_shows_the_role_that_words_tell_and_why_and_those_without_together() -> None:
    keys = 'id = "fix-it"\nprompt = "The parser crashes."\n[[tasks]]\nid = "x"\nprompt = "Coordinate the others."'
    make = 'command = ["make", "test"]'
    more = f'[[tasks]]\nid = "y"\n{make}\n[[tasks]]\nid = "z"\n{make}'
    plan = parse_plan(f"{_AGENT}[[tasks]]\n{keys}\n{more}\n", "plan.toml")
    said = render(survey(plan, "plan.toml", {}), 200)

    assert [task.role for task in plan.tasks] == ["bug-fixer", None, None, None]
    assert (plan.tasks[0].timeout, plan.tasks[0].unsaid_timeout) == (1200.0, True)
    assert "role of fix-it: bug-fixer, timeout 20m (detected: score 6, by fix (id))" in said
    assert "role of y, z: none (its words tell too little)" in said
    assert "role of x: none (its words (coordinate) are those of a meta-orchestrator, which only a plan can" in said
