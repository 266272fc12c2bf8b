"""A task that is over is begun once more, in every ledger."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.ids import TaskId
from protocols.ledger import Changed, Done, Grant, Ledger, Retry
from protocols.task_events import RunRetried
from tests.ledgers import KINDS, Clock, entry, told

A = TaskId("a")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
async def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    async with KINDS[request.param](tmp_path / "ledger.sqlite3", clock) as ledger:
        yield ledger


async def claim_one(ledger: Ledger) -> Grant:
    (grant,) = (await ledger.claim("n", 1)).grants
    return grant


def retried(changed: Changed) -> list[tuple[TaskId, ...]]:
    return [each.event.tasks for each in changed.told if isinstance(each.event, RunRetried)]


async def test_it_is_granted_again_and_what_was_skipped_for_it_waits_again(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b", "a"), entry("c", "b"), entry("d", ("a", "failure"))])
    await ledger.finish([Done(grant=await claim_one(ledger), status="failed")])
    d = await claim_one(ledger)

    changed = await ledger.reopen(A)
    again = await claim_one(ledger)
    after = await ledger.finish([Done(grant=again, status="succeeded"), Done(grant=d, status="succeeded")])
    b = await claim_one(ledger)

    assert retried(changed) == [("a", "b", "c")]
    assert (again.task, again.attempt, d.task) == ("a", 2, "d")
    assert ("b", "unblocked", '"a" succeeded') in told(after)
    assert (b.task, b.attempt) == ("b", 1)


async def test_who_has_counted_its_end_counts_it_anew(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b"), entry("c", ("a", "end"), "b")])
    a, b = (await ledger.claim("n", 2)).grants
    await ledger.finish([Done(grant=a, status="failed")])
    await ledger.reopen(A)
    again = await claim_one(ledger)
    await ledger.finish([Done(grant=again, status="succeeded")])

    early = await ledger.claim("n", 9)
    await ledger.finish([Done(grant=b, status="succeeded")])

    assert early.grants == ()
    assert (await claim_one(ledger)).task == "c"


async def test_what_is_skipped_for_another_one_too_is_skipped_again(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b"), entry("c", "a", "b")])
    a, b = (await ledger.claim("n", 2)).grants
    await ledger.finish([Done(grant=b, status="failed"), Done(grant=a, status="failed")])

    changed = await ledger.reopen(A)

    assert retried(changed) == [("a", "c")]
    skipped = [each.event for each in changed.told if not isinstance(each.event, RunRetried)]
    assert [(getattr(event, "task", ""), getattr(event, "reason", "")) for event in skipped] == [
        ("c", 'needs "b", which failed')
    ]


async def test_a_pause_before_the_next_attempt_is_cut_short(ledger: Ledger, clock: Clock) -> None:
    await ledger.submit([entry("a")])
    await ledger.finish([Retry(grant=await claim_one(ledger), reason="", pause=1000.0)])

    await ledger.reopen(A)

    assert (await claim_one(ledger)).attempt == 2


async def test_one_that_waits_or_runs_or_is_not_known_is_left_alone(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b", "a")])
    await claim_one(ledger)

    assert [(await ledger.reopen(TaskId(name))).told for name in ("a", "b", "nobody")] == [(), (), ()]
