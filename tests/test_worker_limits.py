"""The table ``limits`` of a plan."""

import pytest

from protocols.errors import PlanError
from protocols.plan import Task
from protocols.plan_parser import parse_plan
from protocols.worker_limits import WorkerLimits

ALL = 'nice = 5, open_files = 256, cpu_time = "10m", memory = "2GiB", spool_limit = "1MB", at_spool_limit = "fail"'


def plan_of(limits: str, *before: str) -> Task:
    task = f'[[tasks]]\nid = "a"\nrole = "r"\ncommand = ["a"]\n{limits}'
    return parse_plan("\n".join((*before, "" if "[roles.r]" in before else "[roles.r]", task)), "x.toml").tasks[0]


def mistakes(limits: str) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        plan_of(f"limits = {limits}")
    return caught.value.problems


def test_all_that_can_be_limited_is_read() -> None:
    assert plan_of(f"limits = {{ {ALL} }}").limits == WorkerLimits(
        nice=5, open_files=256, cpu_time=600.0, memory=2 * 1024**3, spool_limit=10**6, at_spool_limit="fail"
    )


def test_nothing_is_limited_where_nothing_is_said() -> None:
    assert plan_of("").limits == WorkerLimits()


def test_each_limit_is_that_of_the_nearest_level() -> None:
    defaults = '[defaults]\nlimits = { nice = 1, memory = "1GB", cpu_time = "1s" }'
    role = 'limits = { nice = 2, memory = "2GB" }'

    task = plan_of("limits = { nice = 3 }", defaults, "[roles.r]", role)

    assert task.limits == WorkerLimits(nice=3, memory=2 * 10**9, cpu_time=1.0)


def test_what_is_wrong_is_told_with_what_to_write() -> None:
    assert mistakes('{ memry = "1GB" }') == ('x.toml: tasks[0].limits.memry: no such key; did you mean "memory"?',)
    assert mistakes("{ nice = 20 }") == ("x.toml: tasks[0].limits.nice: out of range; write a number from 0 to 19",)
    assert mistakes("{ memory = 500 }") == (
        'x.toml: tasks[0].limits.memory: expected a size, got a number; write it like "500MB"',
    )
    assert mistakes('{ memory = "500" }') == (
        'x.toml: tasks[0].limits.memory: "500": a size needs a unit; write "500MB"',
    )
    assert mistakes('{ spool_limit = "0MB" }') == (
        'x.toml: tasks[0].limits.spool_limit: "0MB" is nothing at all; write more, or leave the key out',
    )
    assert mistakes('{ at_spool_limit = "pose" }') == (
        'x.toml: tasks[0].limits.at_spool_limit: "pose" is nothing that can be done there; did you mean "pause"?',
    )


@pytest.mark.parametrize("reason", ["memory", "cpu-time", "spool-limit"])
def test_the_reason_of_an_end_is_told_with_its_limit(reason: str) -> None:
    limits = WorkerLimits(cpu_time=600.0, memory=2 * 10**9, spool_limit=10**6)

    assert {"memory": "2.0 GB", "cpu-time": "10m", "spool-limit": "1.0 MB"}[reason] in limits.describe(reason)
    assert limits.describe("exit") == ""
