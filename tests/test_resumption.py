"""Where a run stands that was left: every task in one place, whatever was the last record that got through."""

from collections.abc import Sequence

import pytest
from hypothesis import given

from protocols.adoption_events import WorkerAdopted
from protocols.events import Event, Record, RunResumed, RunStopping
from protocols.ids import TaskId, WorkerId
from protocols.resumption import Resumption, find_resumption
from protocols.retry import RetryPolicy
from protocols.states import RunView
from tests.made_events import records
from tests.made_fleets import AT, attempt_id, exited, output, run_started, started, starting, status

A, B, C = map(TaskId, "abc")


def _left(events: Sequence[Event], epoch: int = 2) -> Resumption:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    return find_resumption(view, epoch)


def test_what_is_done_stays_done_in_the_order_in_which_it_was() -> None:
    left = _left(
        [
            run_started("a", "b", "c"),
            *(starting("a"), started("a"), exited("a"), starting("b"), started("b"), exited("b", code=3)),
            status("b", "failed", attempt=1, at=AT + 1),
            status("c", "skipped", at=AT + 1),
            status("a", "succeeded", attempt=1, at=AT + 2),
        ]
    )

    assert left.finished == ((B, False), (A, True))
    assert left.statuses == {A: "succeeded", B: "failed", C: "skipped"}
    assert (left.open, left.ended, left.retries) == ((), (), {})
    assert left.concluded == {attempt_id("a"): (A, 1, 1), attempt_id("b"): (B, 1, 1)}


def test_an_attempt_without_an_end_is_open_with_the_bytes_that_are_recorded() -> None:
    left = _left(
        [
            run_started("a"),
            status("a", "running", attempt=1),
            starting("a"),
            started("a"),
            output("a", length=10),
            output("a", offset=10, length=5),
            output("a", stream="stderr", length=2, at=AT + 9),
        ]
    )

    (each,) = left.open
    assert (each.task, each.number, each.id, each.told, each.epoch) == (A, 1, attempt_id("a"), True, 2)
    assert each.covered == {"stdout": 15, "stderr": 2, "terminal": 0, "log": 0, "session": 0}
    assert each.seen_at == AT + 9
    assert each.started == started("a")


@pytest.mark.parametrize(
    ("last", "ended", "retries"),
    [
        pytest.param([status("a", "running", attempt=1), starting("a"), exited("a")], 1, {}, id="the end is untold"),
        pytest.param([starting("a"), exited("a")], 1, {}, id="so is the beginning"),
        pytest.param(
            [starting("a"), exited("a"), status("a", "retrying", attempt=1)], None, {A: 0.0}, id="a retry is due"
        ),
        pytest.param(
            [starting("a"), exited("a"), status("a", "running", attempt=2)], None, {}, id="the retry has no record"
        ),
        pytest.param(
            [starting("a"), exited("a"), status("a", "retrying", attempt=1), starting("a", 2), exited("a", 2)],
            2,
            {},
            id="the retry has ended untold",
        ),
    ],
)
def test_each_cut_between_two_records_leaves_the_task_in_one_place(
    last: list[Event], ended: int | None, retries: dict[TaskId, float]
) -> None:
    left = _left([run_started("a"), *last])

    assert [event.attempt for event in left.ended] == ([] if ended is None else [ended])
    assert left.retries == retries
    assert (left.open, left.statuses) == ((), {})


@pytest.mark.parametrize("reason", ["orphaned", "stalled"])
def test_attempts_that_ended_with_their_supervisor_or_stood_still_take_none_of_the_common_retries(reason: str) -> None:
    left = _left(
        [
            run_started("a"),
            *(starting("a"), exited("a", code=1), starting("a", 2), exited("a", 2, reason=reason)),
            status("a", "retrying", attempt=2),
        ]
    )

    assert left.attempts == {A: 2}
    assert left.failures_by_cause == {A: {"exit": 1, **({"stalled": 1} if reason == "stalled" else {})}}
    assert RetryPolicy().allows(1, left.failures_by_cause[A], None if reason == "orphaned" else "stalled")


def test_an_attempt_belongs_to_the_last_supervisor_that_followed_it() -> None:
    left = _left(
        [
            run_started("a", "b"),
            *(starting("a"), started("a"), starting("b"), started("b"), exited("b")),
            RunResumed(at=AT, epoch=2, pid=1, version="1"),
            WorkerAdopted(at=AT, worker=WorkerId("a"), attempt=1, epoch=2, pid=1),
            exited("a"),
        ],
        epoch=3,
    )

    assert left.concluded == {attempt_id("a"): (A, 1, 2), attempt_id("b"): (B, 1, 1)}


def test_a_stop_that_was_asked_for_is_still_to_be_made() -> None:
    assert _left([run_started("a"), RunStopping(at=AT, reason="SIGTERM", grace=1.0)]).stopping == "SIGTERM"
    assert _left([run_started("a")]).stopping == ""


@given(records)
def test_every_task_is_in_one_place_at_most_whatever_the_records_say(found: list[Record]) -> None:
    view = RunView()
    for record in found:
        view.apply(record)

    left = find_resumption(view, 2)

    places = [each.task for each in left.open]
    places += [TaskId(event.worker) for event in left.ended]
    places += [*left.retries, *left.statuses]
    assert len(places) == len(set(places))
    assert {task for task, _ in left.finished} <= left.statuses.keys()
    assert set(places) <= view.tasks.keys()
