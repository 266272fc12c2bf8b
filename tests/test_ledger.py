"""What every ledger does, whatever keeps its states: the contract of `protocols.ledger`."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio

from protocols.errors import LedgerError
from protocols.fleet_events import FleetSwept
from protocols.ids import TaskId
from protocols.kinds import TaskStatus
from protocols.ledger import Done, Grant, Ledger, Retry, Standing
from tests.ledgers import KINDS, LEASE, Clock, entry, told

SWEPT = FleetSwept(at=0.0, processes=())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
async def ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    async with KINDS[request.param](tmp_path / "ledger.sqlite3", clock) as ledger:
        yield ledger


def names(grants: tuple[Grant, ...]) -> list[str]:
    return [grant.task for grant in grants]


async def claim_one(ledger: Ledger) -> Grant:
    (grant,) = (await ledger.claim("n", 1)).grants
    return grant


async def end(ledger: Ledger, grant: Grant, status: TaskStatus = "succeeded") -> list[tuple[str, ...]]:
    return told(await ledger.finish([Done(grant=grant, status=status)]))


async def test_ready_tasks_are_granted_by_priority_then_order_and_never_more_than_are_free(ledger: Ledger) -> None:
    await ledger.submit([entry("a", order=2), entry("b", order=1), entry("c", priority=5, order=9), entry("d", "a")])

    first = await ledger.claim("n", 2)
    second = await ledger.claim("n", 0)
    third = await ledger.claim("n", 9)

    assert names(first.grants) == ["c", "b"]
    assert told(first) == [("c", "running"), ("b", "running")]
    assert (second.grants, second.left) == ((), 1)
    assert names(third.grants) == ["a"]
    assert all(grant.attempt == 1 for grant in first.grants)


async def test_no_label_has_more_than_its_cap_and_the_others_go_on(ledger: Ledger) -> None:
    await ledger.submit([entry("a", labels=("x", "y")), entry("b", labels=("x",)), entry("c", labels=("y",))])

    first = await ledger.claim("n", 9, {"x": 1})
    await end(ledger, first.grants[0])
    second = await ledger.claim("n", 9, {"x": 1})

    assert names(first.grants) == ["a", "c"]
    assert names(second.grants) == ["b"]


async def test_who_would_start_if_more_might_is_told(ledger: Ledger) -> None:
    await ledger.submit([entry(name) for name in "abcd"])

    claimed = await ledger.claim("n", 3, most=1)

    assert (names(claimed.grants), claimed.held, claimed.left) == (["a"], ("b", "c"), 3)


async def test_a_task_is_unblocked_by_the_last_of_its_needs(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b"), entry("c", "a", "b")])
    a, b = (await ledger.claim("n", 9)).grants

    assert await end(ledger, b) == [("b", "succeeded")]
    assert await end(ledger, a) == [("a", "succeeded"), ("c", "unblocked", '"a" succeeded')]
    assert names((await ledger.claim("n", 9)).grants) == ["c"]


async def test_a_failure_skips_all_that_need_it_with_the_reason(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b", "a"), entry("c", "b"), entry("d", "a", "c")])

    said = await end(ledger, await claim_one(ledger), "timed-out")

    assert said == [
        ("a", "timed-out"),
        ("b", "skipped", 'needs "a", which timed out'),
        ("c", "skipped", 'needs "b", skipped because "a" timed out'),
        ("d", "skipped", 'needs "a", which timed out'),
    ]
    assert (await ledger.claim("n", 9)).left == 0


async def test_thousands_in_a_chain_are_skipped_at_once(ledger: Ledger) -> None:
    await ledger.submit([entry("t0"), *(entry(f"t{number}", f"t{number - 1}") for number in range(1, 3000))])

    said = await end(ledger, await claim_one(ledger), "failed")

    assert len(said) == 3000
    assert said[-1] == ("t2999", "skipped", 'needs "t2998", skipped because "t0" failed')


async def test_an_allowed_failure_counts_as_success_and_as_failure(ledger: Ledger) -> None:
    await ledger.submit([entry("a", allow_failure=True), entry("b", "a"), entry("c", ("a", "failure"))])

    said = await end(ledger, await claim_one(ledger), "failed")

    assert said[1:] == [("b", "unblocked", '"a" failed'), ("c", "unblocked", '"a" failed')]


async def test_conditions_on_how_a_need_ends(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b", ("a", "failure")), entry("c", "b"), entry("d", ("c", "end"))])

    said = await end(ledger, await claim_one(ledger))

    assert said == [
        ("a", "succeeded"),
        ("b", "skipped", 'needs "a" to fail, which succeeded'),
        ("c", "skipped", 'needs "b", skipped because "a" succeeded'),
        ("d", "unblocked", '"c" was skipped'),
    ]


async def test_nothing_follows_from_a_task_that_was_stopped(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b", "a"), entry("c", ("a", "end"))])

    assert await end(ledger, await claim_one(ledger), "stopped") == [("a", "stopped")]
    assert (await ledger.claim("n", 9)).left == 0


async def test_another_attempt_waits_for_its_moment_and_holds_no_slot(ledger: Ledger, clock: Clock) -> None:
    await ledger.submit([entry("a", labels=("x",)), entry("b", labels=("x",))])
    a = await claim_one(ledger)

    await ledger.finish([Retry(grant=a, reason="exit code 1", pause=5.0)])
    other = await ledger.claim("n", 1, {"x": 1})
    clock.time += 4.9
    early = await ledger.claim("n", 9)
    clock.time += 0.1
    again = await ledger.claim("n", 9)

    assert (names(other.grants), other.wait, other.left) == (["b"], 5.0, 1)
    assert early.grants == ()
    assert early.wait == pytest.approx(0.1)
    assert [(grant.task, grant.attempt) for grant in again.grants] == [("a", 2)]
    assert again.grants[0].owner != a.owner


async def test_a_slot_that_is_kept_between_two_attempts_is_nobody_elses(ledger: Ledger, clock: Clock) -> None:
    await ledger.submit([entry("a", labels=("x",)), entry("b", labels=("x",))])
    a = await claim_one(ledger)

    await ledger.finish([Retry(grant=a, status="restarting", reason="", pause=5.0, keeps_slot=True)])
    meanwhile = await ledger.claim("n", 9, {"x": 1})
    clock.time += 5
    again = await ledger.claim("n", 0, {"x": 0})

    assert (meanwhile.grants, names(again.grants)) == ((), ["a"])


async def test_the_first_start_may_have_a_moment_too(ledger: Ledger, clock: Clock) -> None:
    await ledger.submit([entry("a", not_before=clock.time + 7), entry("b", "a", not_before=clock.time + 3)])

    early = await ledger.claim("n", 9)
    clock.time += 7
    await end(ledger, await claim_one(ledger))

    assert (early.grants, early.wait) == ((), 7.0)
    assert (await claim_one(ledger)).task == "b"


async def test_only_the_owner_ends_a_task_and_saying_it_again_changes_nothing(ledger: Ledger, clock: Clock) -> None:
    await ledger.submit([entry("a"), entry("b", "a")])
    stale = await claim_one(ledger)
    clock.time += LEASE
    await ledger.reap()
    owner = await claim_one(ledger)

    late = await ledger.finish([Done(grant=stale, status="failed"), Retry(grant=stale, reason="", pause=0.0)])
    done = await ledger.finish([Done(grant=owner, status="succeeded")])
    again = await ledger.finish(
        [Done(grant=owner, status="succeeded"), Done(grant=owner, status="failed")], tell=[SWEPT]
    )

    assert (late.answers, late.told) == (("rejected", "rejected"), ())
    assert done.answers == ("accepted",)
    assert (again.answers, again.told) == (("already", "rejected"), ())
    assert (stale.attempt, owner.attempt) == (1, 2)


async def test_a_retry_that_is_said_again_is_so_already(ledger: Ledger) -> None:
    await ledger.submit([entry("a")])
    retry = Retry(grant=await claim_one(ledger), reason="", pause=1.0)

    answers = [(await ledger.finish([retry])).answers[0] for _ in range(2)]

    assert answers == ["accepted", "already"]


async def test_submitting_again_changes_nothing_and_another_task_of_the_same_name_is_refused(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b", "a")])
    await end(ledger, await claim_one(ledger))

    again = await ledger.submit([entry("a"), entry("b", "a")], tell=[SWEPT])
    with pytest.raises(LedgerError, match='"a" is there already'):
        await ledger.submit([entry("c"), entry("a", priority=1)])

    assert again.told == ()
    assert names((await ledger.claim("n", 9)).grants) == ["b"]


async def test_a_need_that_nobody_knows_is_refused_and_nothing_is_taken_in(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match='"b" needs "x", which nobody has submitted'):
        await ledger.submit([entry("a"), entry("b", "x")])

    assert (await ledger.claim("n", 9)).grants == ()


async def test_a_need_that_is_over_already_is_met_or_not_at_once(ledger: Ledger) -> None:
    await ledger.submit([entry("a"), entry("b")])
    a, b = (await ledger.claim("n", 9)).grants
    await ledger.finish([Done(grant=a, status="succeeded"), Done(grant=b, status="failed")])

    late = await ledger.submit([entry("c", "a"), entry("d", "a", "b"), entry("e", "d")])

    assert told(late) == [
        ("d", "skipped", 'needs "b", which failed'),
        ("e", "skipped", 'needs "d", skipped because "b" failed'),
    ]
    assert names((await ledger.claim("n", 9)).grants) == ["c"]


async def test_a_group_waits_for_what_is_submitted_into_it(ledger: Ledger) -> None:
    await ledger.submit([entry("g", slots=0), entry("after", "g")])
    claimed = await ledger.claim("n", 0)
    (group,) = claimed.grants

    taken = await ledger.submit([entry("g[1]"), entry("g[2]")], into=TaskId("g"), tell=[SWEPT])
    void = await ledger.finish([Done(grant=group, status="succeeded")])
    items = await ledger.claim("n", 9)
    said = [await end(ledger, grant) for grant in items.grants]
    (full,) = (await ledger.claim("n", 0)).grants

    assert told(claimed) == [("g", "running")]
    assert (group.attempt, group.extended, full.extended) == (0, False, True)
    assert [each.event for each in taken.told] == [SWEPT]
    assert void.answers == ("rejected",)
    assert names(items.grants) == ["g[1]", "g[2]"]
    assert said[1] == [("g[2]", "succeeded"), ("g", "unblocked", '"g[2]" succeeded')]
    assert await end(ledger, full) == [("g", "succeeded"), ("after", "unblocked", '"g" succeeded')]


async def test_a_group_of_nothing_is_ready_again_at_once(ledger: Ledger) -> None:
    await ledger.submit([entry("g", slots=0)])
    (group,) = (await ledger.claim("n", 0)).grants

    first = await ledger.submit([], into=group.task, tell=[SWEPT])
    again = await ledger.submit([], into=group.task, tell=[SWEPT])
    claimed = await ledger.claim("n", 0)

    assert [len(each.told) for each in (first, again)] == [1, 0]
    assert [grant.extended for grant in claimed.grants] == [True]
    assert claimed.told == ()


async def test_a_group_is_skipped_where_one_of_its_tasks_fails(ledger: Ledger) -> None:
    await ledger.submit([entry("g", slots=0), entry("after", "g")])
    await ledger.claim("n", 0)
    await ledger.submit([entry("g[1]"), entry("g[2]", allow_failure=True)], into=TaskId("g"))
    one, two = (await ledger.claim("n", 9)).grants

    allowed, failed = await end(ledger, two, "failed"), await end(ledger, one, "failed")

    assert allowed == [("g[2]", "failed")]
    assert failed[1:] == [
        ("g", "skipped", 'needs "g[1]", which failed'),
        ("after", "skipped", 'needs "g", skipped because "g[1]" failed'),
    ]
    with pytest.raises(LedgerError, match=r'"g" is over \(skipped\)'):
        await ledger.submit([entry("g[3]")], into=TaskId("g"))


async def test_who_waits_can_be_cancelled_and_who_runs_is_told(ledger: Ledger, clock: Clock) -> None:
    await ledger.submit([entry("a"), entry("b"), entry("c", "b"), entry("d")])
    a, b = (await ledger.claim("n", 2)).grants
    await ledger.finish([Retry(grant=b, reason="", pause=5.0)])

    said = await ledger.cancel(None, "enough")
    again = await ledger.cancel([TaskId("b"), TaskId("nobody")], "enough")
    renewed = await ledger.renew([a, b])
    clock.time += 60
    after = await ledger.claim("n", 9)

    assert told(said) == [("b", "stopped", "enough"), ("c", "stopped", "enough"), ("d", "stopped", "enough")]
    assert (again.told, after.grants) == ((), ())
    assert (renewed.lost, renewed.cancelled) == (("b",), ("a",))
    retried = await ledger.finish([Retry(grant=a, reason="exit code 1", pause=0.0)])
    assert told(retried) == [("a", "stopped", "exit code 1")]


async def test_an_attempt_that_was_never_begun_does_not_count(ledger: Ledger) -> None:
    await ledger.submit([entry("a")])

    ended = await ledger.finish([Done(grant=await claim_one(ledger), status="stopped", begun=False)])

    (change,) = (msgspec.to_builtins(each.event) for each in ended.told)
    assert (change["status"], change["attempt"]) == ("stopped", 0)


async def test_who_does_not_renew_in_time_loses_the_task_to_others(ledger: Ledger, clock: Clock) -> None:
    await ledger.submit([entry("a"), entry("b")])
    a, b = (await ledger.claim("n", 9)).grants
    clock.time += LEASE - 1
    await ledger.renew([a])
    clock.time += 1

    reaped = await ledger.reap()
    taken = await ledger.claim("other", 9)
    renewed = await ledger.renew([a, b])

    assert told(reaped) == [("b", "retrying", 'node "n" did not renew it')]
    assert [(grant.task, grant.attempt) for grant in taken.grants] == [("b", 2)]
    assert renewed.lost == ("b",)
    assert told(await ledger.reap("n")) == [("a", "retrying", 'node "n" is gone')]


async def test_the_outbox_keeps_every_event_in_order_until_it_is_trimmed(ledger: Ledger) -> None:
    changes = [await ledger.submit([entry("a"), entry("b", "a")], tell=[SWEPT])]
    claimed = await ledger.claim("n", 9)
    changes += [claimed, await ledger.finish([Done(grant=claimed.grants[0], status="succeeded")], tell=[SWEPT])]

    every = [each for change in changes for each in change.told]
    assert await ledger.outbox() == tuple(every)
    assert [each.number for each in every] == sorted({each.number for each in every})
    await ledger.trim(every[1].number)
    assert await ledger.outbox() == tuple(every[2:])
    await ledger.trim(every[-1].number)
    (again,) = (await ledger.claim("n", 9)).told
    assert again.number > every[-1].number


async def test_a_watcher_hears_of_what_changed_after_what_it_saw(ledger: Ledger, nursery: trio.Nursery) -> None:
    await ledger.submit([entry("a")])
    seen = (await ledger.claim("n", 9)).version
    heard: list[int] = []

    async def watch() -> None:
        heard.append(await ledger.watch(seen))

    nursery.start_soon(watch)
    await trio.testing.wait_all_tasks_blocked()
    assert heard == []
    await ledger.submit([entry("b")])
    await trio.testing.wait_all_tasks_blocked()

    assert heard == [await ledger.watch(seen)]
    assert (await ledger.claim("n", 9)).version == heard[0]


def standing(name: str, status: TaskStatus = "pending", attempts: int = 0, **fields: object) -> Standing:
    return Standing(task=TaskId(name), status=status, attempts=attempts, **fields)  # type: ignore[arg-type] # the test names the field


PLAN = [entry("a"), entry("b", "a"), entry("c", "a"), entry("d", "c"), entry("e"), entry("f")]


async def test_a_new_ledger_goes_on_where_the_records_end(ledger: Ledger, clock: Clock) -> None:
    standings = [
        standing("a", "succeeded", 1),
        standing("b", "running", 2, open=True),
        standing("c", "running", 1, open=True, told=False),
        standing("e", "retrying", 3, pause=9.0, reason="exit code 1"),
        standing("f", "running", 4),
    ]

    synced = await ledger.resync("n", PLAN, standings)
    ready = await ledger.claim("n", 9)
    clock.time += 9
    late = await ledger.claim("n", 9)

    assert [(grant.task, grant.attempt) for grant in synced.grants] == [("b", 2), ("c", 1)]
    assert told(synced) == [("c", "running")]
    assert synced.statuses == {
        "a": "succeeded", "b": "running", "c": "running", "d": "pending", "e": "retrying", "f": "pending"
    }  # fmt: skip
    assert [(grant.task, grant.attempt) for grant in ready.grants] == [("f", 5)]
    assert [(grant.task, grant.attempt) for grant in late.grants] == [("e", 4)]
    assert await end(ledger, synced.grants[1], "failed") == [
        ("c", "failed"),
        ("d", "skipped", 'needs "c", which failed'),
    ]


async def test_what_follows_from_the_records_and_was_not_told_is_told_once(ledger: Ledger) -> None:
    standings = [standing("b", "skipped"), standing("a", "failed", 1)]

    first = await ledger.resync("n", PLAN, standings)
    again = await ledger.resync("n", PLAN, [*standings, standing("c", "skipped"), standing("d", "skipped")])

    assert told(first) == [
        ("c", "skipped", 'needs "a", which failed'),
        ("d", "skipped", 'needs "c", skipped because "a" failed'),
    ]
    assert again.told == ()


async def test_an_older_ledger_is_brought_up_and_no_old_grant_holds(ledger: Ledger) -> None:
    await ledger.submit(PLAN)
    old = (await ledger.claim("n", 9)).grants

    synced = await ledger.resync("n2", PLAN, [standing("a", "succeeded", 1), standing("e", "running", 1, open=True)])
    ready = await ledger.claim("n2", 9)

    assert names(synced.grants) == ["e"]
    assert [(grant.task, grant.attempt) for grant in ready.grants] == [("b", 1), ("c", 1), ("f", 1)]
    stale = await ledger.finish([Done(grant=grant, status="succeeded") for grant in old])
    assert stale.answers == ("rejected",) * 3


async def test_an_end_that_only_the_ledger_knows_stays_and_is_told_again(ledger: Ledger) -> None:
    await ledger.submit(PLAN)
    a = await claim_one(ledger)
    await end(ledger, a)

    synced = await ledger.resync("n", PLAN, [])

    assert told(synced) == [("a", "succeeded")]
    assert names((await ledger.claim("n", 9)).grants) == ["b", "c", "e", "f"]


async def test_a_task_that_the_records_tell_to_be_done_anew_is_done_anew(ledger: Ledger) -> None:
    await ledger.submit(PLAN)
    await end(ledger, await claim_one(ledger))

    synced = await ledger.resync("n", PLAN, [standing("a", attempts=1)])

    assert synced.told == ()
    assert [(grant.task, grant.attempt) for grant in (await ledger.claim("n", 1)).grants] == [("a", 2)]


async def test_what_was_submitted_into_a_group_outlives_a_resync_and_is_not_made_twice(ledger: Ledger) -> None:
    await ledger.submit([entry("g", slots=0)])
    await ledger.claim("n", 0)
    items = [entry("g[1]"), entry("g[2]")]
    await ledger.submit(items, into=TaskId("g"))
    await ledger.claim("n", 1)

    await ledger.resync("n", [entry("g", slots=0)], [standing("g", "running"), standing("g[1]", "succeeded", 1)])
    again = await ledger.submit(items, into=TaskId("g"))
    claimed = await ledger.claim("n", 9)
    await end(ledger, claimed.grants[0])

    assert (again.told, names(claimed.grants)) == ((), ["g[2]"])
    assert [(grant.task, grant.extended) for grant in (await ledger.claim("n", 9)).grants] == [("g", True)]
