"""Whether a failed attempt is followed by another one, by the cause of its failure."""

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.backoff import delay
from protocols.errors import PlanError
from protocols.plan import Task
from protocols.plan_parser import parse_plan
from protocols.retry import Cause, RetryPolicy

CAUSES: tuple[Cause, ...] = get_args(Cause)


def read(said: str, below: str = "") -> Task:
    (task,) = parse_plan(f'[defaults]\n{below}\n[[tasks]]\nid = "a"\ncommand = ["true"]\n{said}\n', "x.toml").tasks
    return task


def mistakes(said: str) -> tuple[str, ...]:
    with pytest.raises(PlanError) as info:
        read(said)
    return info.value.problems


def attempts(policy: RetryPolicy, retries: int, causes: Sequence[Cause]) -> int:
    """How many there are where they fail for these causes, one after the other."""
    failures: dict[Cause, int] = {}
    for number, cause in enumerate(causes, 1):
        failures[cause] = failures.get(cause, 0) + 1
        if not policy.allows(retries, failures, cause):
            return number
    return len(causes) + 1


def test_a_plan_says_how_often_for_each_cause_and_how_long_the_pauses_are() -> None:
    task = read(
        'retries = 3\nretry = { timeout = 0, output = 2, backoff = "2s", backoff_limit = "5m", jitter = false }'
    )

    assert (task.retries, task.backoff) == (3, 2.0)
    assert task.retry == RetryPolicy(counts={"timeout": 0, "output": 2}, limit=300.0, jitter=False)


def test_each_level_adds_its_causes_and_no_retries_at_all_takes_back_those_below() -> None:
    below = "retry = { exit = 2, lost = 1, jitter = false }"

    assert read("retry = { exit = 0 }", below).retry == RetryPolicy(counts={"exit": 0, "lost": 1}, jitter=False)
    assert read("retries = 2", below).retry.counts == {"exit": 2, "lost": 1}
    assert read("retries = 0", below).retry == RetryPolicy(jitter=False)


def test_mistakes_in_a_retry_policy_are_told_all_at_once() -> None:
    assert mistakes('backoff = "1s"\nretry = { exits = 1, timeout = -1, backoff = "2s", backoff_limit = 5 }') == (
        'x.toml: tasks[0].retry.exits: no such key; did you mean "exit"?',
        "x.toml: tasks[0].retry.backoff: stands beside retry too; remove one of them",
        "x.toml: tasks[0].retry.timeout: out of range; write a number from 0 to 1000000",
        'x.toml: tasks[0].retry.backoff_limit: expected a duration, got a number; write "5s"',
    )
    (told,) = mistakes("retry = 3")
    advice = "write { exit = 2, timeout = 0 }, or retries = 2 for all causes"
    assert told == f"x.toml: tasks[0].retry: expected a table, got a number; {advice}"
    rule = "retries are for a task that is to finish; write retries = 0, or leave restart out"
    assert mistakes('retry = { exit = 1 }\nrestart = "always"') == (
        f"x.toml: tasks[0].restart: there are retries here; {rule}",
    )


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_with_a_number_has_so_many_retries_and_takes_none_of_the_others(cause: Cause) -> None:
    other: Cause = "exit" if cause != "exit" else "lost"
    policy = RetryPolicy(counts={cause: 2})

    assert attempts(policy, 1, [cause] * 9) == 3
    assert attempts(policy, 1, [cause, other, cause, other, other]) == 4
    assert attempts(RetryPolicy(counts={cause: 0}), 5, [cause] * 9) == 1


def test_causes_without_a_number_share_the_retries_but_for_stalls() -> None:
    assert attempts(RetryPolicy(), 2, ["exit", "timeout", "output", "lost"]) == 3
    assert attempts(RetryPolicy(), 0, ["stalled"] * 50) == 51
    assert attempts(RetryPolicy(), 1, ["stalled", "exit", "stalled", "exit"]) == 4
    assert RetryPolicy().allows(0, {"exit": 9}, None)


@given(
    st.dictionaries(st.sampled_from(CAUSES), st.integers(0, 5)),
    st.integers(0, 5),
    st.lists(st.sampled_from([cause for cause in CAUSES if cause != "stalled"]), min_size=40, max_size=40),
)
def test_no_policy_allows_more_attempts_than_it_counts(
    counts: dict[Cause, int], retries: int, causes: list[Cause]
) -> None:
    assert attempts(RetryPolicy(counts=counts), retries, causes) <= 1 + retries + sum(counts.values())


def test_a_pause_doubles_up_to_the_limit_and_jitter_may_be_switched_off() -> None:
    policy = RetryPolicy(limit=300.0, jitter=False)

    assert [policy.pause(number, 100.0) for number in (1, 2, 3)] == [100.0, 200.0, 300.0]
    assert RetryPolicy(jitter=False).pause(9, 100.0) == 60.0
    assert 150.0 <= RetryPolicy(limit=300.0).pause(3, 100.0, delay) <= 300.0
