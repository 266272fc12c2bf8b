"""What can be known of the plans of instances before anything starts."""

import sys
from pathlib import Path

import pytest

from protocols.errors import PlanError
from protocols.instances import Bounds
from supervisor.plans import LoadedPlan, load_plan
from tests.instances import instance, write_plan
from tests.running import task


def load(tmp_path: Path, *parts: str, bounds: Bounds | None = None) -> LoadedPlan:
    write_plan(tmp_path / "plan.toml", *parts)
    return load_plan(tmp_path / "plan.toml", tmp_path, bounds=bounds)


def problems(tmp_path: Path, *parts: str, bounds: Bounds | None = None) -> list[str]:
    with pytest.raises(PlanError) as info:
        load(tmp_path, *parts, bounds=bounds)
    return [line.removeprefix(f"{tmp_path}/plan.toml: ") for line in info.value.problems]


def test_what_an_instance_may_not_is_cut_and_told(tmp_path: Path) -> None:
    bounds = Bounds(concurrency=2, timeout=60.0, grace=3.0)

    loaded = load(tmp_path, task("a", ["true"], timeout="5m"), task("b", ["true"], grace="1s"), bounds=bounds)

    assert [(each.timeout, each.grace) for each in loaded.plan.tasks] == [(60.0, 3.0), (60.0, 1.0)]
    assert loaded.plan.concurrency == 2
    assert loaded.cuts == ("at most 2 of its tasks run at once, not 16: it is an instance",)


def test_what_is_cut_below_is_told_above(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", "[defaults]\nconcurrency = 5\n", task("a", ["true"]))

    loaded = load(tmp_path, '[[tasks]]\nid = "build"\ninstance = { plan = "sub.toml", concurrency = 2 }\n')

    assert loaded.cuts == ("build: at most 2 of its tasks run at once, not 5: it is an instance",)


@pytest.mark.parametrize(
    ("bounds", "problem"),
    [
        (Bounds(depth=0), "tasks[0].instance: no more levels of instances are left here; "),
        (Bounds(fan_out=0), "tasks: 1 of them are instances, here there may be 0; make them fewer"),
    ],
)
def test_more_than_there_is_is_a_mistake(tmp_path: Path, bounds: Bounds, problem: str) -> None:
    write_plan(tmp_path / "sub.toml", task("a", ["true"]))

    assert problems(tmp_path, instance("build", "sub.toml"), bounds=bounds)[0].startswith(problem)


@pytest.mark.parametrize(("key", "asked", "most"), [("depth", 3, 2), ("fan_out", 33, 32), ("concurrency", 17, 16)])
def test_a_table_that_asks_for_more_is_a_mistake(tmp_path: Path, key: str, asked: int, most: int) -> None:
    write_plan(tmp_path / "sub.toml", task("a", ["true"]))
    plan = f'[[tasks]]\nid = "build"\ninstance = {{ plan = "sub.toml", {key} = {asked} }}\n'

    (problem,) = problems(tmp_path, plan)

    assert problem.startswith(f"tasks[0].instance.{key}: {asked}, but ")
    assert str(most) in problem


def test_without_its_own_command_a_callboard_starts_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plan(tmp_path / "sub.toml", task("a", ["true"]))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    (problem,) = problems(tmp_path, instance("build", "sub.toml"))

    assert problem.startswith(f'tasks[0].command: "{tmp_path}/callboard": no such file or directory')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('instance = { plan = "x", from = "y" }', "tasks[0].instance: both plan and from; "),
        ("instance = {}", "tasks[0].instance: no plan; "),
        ('instance = { plan = "x", deep = 1 }', 'tasks[0].instance.deep: no such key; did you mean "depth"?'),
        ('instance = { plan = "x" }\ncommand = ["y"]', "tasks[0].command: what an instance runs is its plan; "),
        ('instance = { plan = "x" }\nstdin = "pipe"', "tasks[0].stdin: an instance reads no input; "),
        ('instance = { from = "y" }', 'tasks[0].needs: no task "y"'),
        ('instance = { from = "b" }', 'tasks[0].instance.from: task "b" gives no plan; add plan = true to its output'),
        ('command = ["x"]\noutput = { report = true }', "tasks[0].output: only an instance gives a report; "),
        (
            'instance = { plan = "x" }\noutput = { stdout_json = true }',
            'tasks[0].output: an instance gives { report = true } or { file = "PATH" }',
        ),
        (
            'command = ["x"]\noutput = { stdout_json = true, plan = true }',
            "tasks[0].output.plan: a plan is TOML in a file or a last message, ",
        ),
    ],
)
def test_mistakes_are_told_with_their_key(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(tmp_path, f'[[tasks]]\nid = "a"\n{text}\n', task("b", ["true"]))

    assert any(line.startswith(problem) for line in found), found


NEEDY = task("x", ["true"], secrets={"TOKEN": {"env": "INNER"}})


@pytest.mark.parametrize(
    "gets", ['secrets = { INNER = { env = "OUTER" } }', 'pass_env = ["INNER"]', 'env = { INNER = "no secret at all" }']
)
def test_what_an_instance_gets_is_there_for_the_secrets_of_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gets: str
) -> None:
    monkeypatch.setenv("OUTER", "a long secret")
    if "pass_env" in gets:
        monkeypatch.setenv("INNER", "a long secret")
    write_plan(tmp_path / "sub.toml", NEEDY)

    assert load(tmp_path, f"{instance('build', 'sub.toml')}\n{gets}\n").plan.tasks


def test_a_variable_that_an_instance_does_not_get_is_missing_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNER", "a long secret")
    write_plan(tmp_path / "sub.toml", NEEDY)

    told = 'the variable "INNER" is not set in this instance; give it by secrets of the task that is the instance'
    (problem,) = problems(tmp_path, instance("build", "sub.toml"))
    assert problem.startswith("tasks[0].instance.plan: ")
    assert problem.endswith(told)


def test_an_instance_works_in_no_workspace(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("a", ["true"]))

    told = "an instance has none, the tasks in its plan have; say it there, and remove this key"
    assert problems(tmp_path, f'{instance("build", "sub.toml")}\nworkspace = "folder"\n') == [
        f"tasks[0].workspace: {told}"
    ]
