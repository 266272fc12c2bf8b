"""What a live display makes of records, and whom it shows first."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given

from protocols.board import JOURNAL, QUIET_AFTER, SIGNAL, Board, OutputRange, silence
from protocols.events import (
    Event,
    InstanceRecord,
    OwnEvent,
    Record,
    RunStopping,
    SpoolBlocked,
    SpoolResumed,
    WorkerGap,
    WorkerMismatch,
    WorkerOutput,
    WorkerStopping,
)
from protocols.fleet_events import JournalResumed, KeeperLost
from protocols.ids import TaskId, WorkerId
from tests.made_events import records
from tests.made_fleets import AT, exited, judged, output, run_started, started, starting, status

A = TaskId("a")


def board(*events: Event) -> Board:
    made = Board()
    for seq, event in enumerate(events, 1):
        made.apply(Record(seq, event))
    return made


def running(task: str, at: float = AT) -> tuple[Event, ...]:
    return (status(task, "running"), starting(task, at=at), started(task, at=at))


@given(records)
def test_no_sequence_of_records_raises_and_every_task_has_its_place(found: list[Record]) -> None:
    made = Board()
    for record in found:
        made.apply(record)

    assert sorted(made.ordered(AT)) == sorted(made.tasks)


def test_tasks_of_an_instance_have_their_places_among_the_others() -> None:
    told: list[OwnEvent] = [run_started("x", "y"), starting("x"), started("x"), status("x", "running")]
    told.append(output("x", length=7))
    below = [InstanceRecord(at=AT, worker=WorkerId("a"), path="a", numbers=(1,), event=event) for event in told]

    made = board(run_started("a", "b"), *running("a"), *below)

    assert made.ordered(AT) == ["a", "a/x", "a/y", "b"]
    assert made.tasks[TaskId("a/x")].status == "running"
    assert made.activities[TaskId("a/x")].latest[-1] == OutputRange("stdout", 0, 7)
    assert made.size == 7


@given(records)
def test_the_ranges_are_the_end_of_what_was_recorded_and_neighbours_differ(found: list[Record]) -> None:
    made = Board()
    for record in found:
        made.apply(record)

    events = [each.event.event if isinstance(each.event, InstanceRecord) else each.event for each in found]
    outputs = [event for event in events if isinstance(event, WorkerOutput)]
    assert made.size == sum(event.length for event in outputs)
    for activity in made.activities.values():
        ranges = list(activity.latest)
        assert all(one.stream != other.stream for one, other in pairwise(ranges))


def test_output_of_both_streams_is_kept_in_the_order_in_which_it_came() -> None:
    made = board(
        run_started("a"),
        *running("a"),
        output("a", length=5),
        output("a", offset=5, length=5),
        output("a", stream="stderr", length=3),
        output("a", offset=10, length=1),
    )

    assert list(made.activities[A].latest) == [
        OutputRange("stdout", 0, 10),
        OutputRange("stderr", 0, 3),
        OutputRange("stdout", 10, 11),
    ]
    assert made.size == 14


def test_a_new_attempt_begins_with_nothing() -> None:
    made = board(run_started("a"), *running("a"), output("a", length=5), exited("a"), starting("a", 2))

    assert not made.activities[A].latest
    assert made.activities[A].rate.at(AT) == 0
    assert made.size == 5


def test_who_stands_still_is_in_trouble_and_a_doubt_or_a_question_needs_attention() -> None:
    names = ("works", "asks", "who-knows", "perhaps", "stands", "failed")
    made = board(
        run_started(*names),
        *(event for name in names for event in running(name)),
        judged("works", "working"),
        judged("asks", "waiting-permission"),
        judged("who-knows", "unknown"),
        judged("perhaps", "quiet"),
        judged("stands", "stalled"),
        status("failed", "failed"),
    )

    assert made.ordered(AT + 1000) == ["stands", "failed", "asks", "who-knows", "perhaps", "works"]


def test_those_that_need_attention_come_first_and_the_others_as_in_the_plan() -> None:
    names = (
        "ok",
        "waiting",
        "again",
        "busy",
        "quiet",
        "bad",
        "late",
        "full",
        "torn",
        "ending",
        "given-up",
        "cut",
        "left",
    )
    now = AT + QUIET_AFTER
    made = board(
        run_started(*names),
        *running("quiet"),
        *(event for name in ("busy", "full", "torn", "ending") for event in running(name, now - 1)),
        SpoolBlocked(at=now, worker=WorkerId("full"), attempt=1, stream="stdout", error="disk full"),
        WorkerMismatch(at=now, worker=WorkerId("torn"), attempt=1, stream="stdout", written=3, spooled=2, recorded=2),
        WorkerStopping(at=now, worker=WorkerId("ending"), attempt=1, reason="timeout", grace=3),
        status("ok", "succeeded"),
        status("again", "retrying"),
        status("bad", "failed"),
        status("late", "timed-out"),
        msgspec.structs.replace(status("given-up", "failed"), allowed=True),
        status("cut", "stopped"),
        status("left", "skipped"),
    )

    assert made.ordered(now) == [
        *("full", "torn", "ending", "bad", "late", "quiet", "busy", "again", "waiting", "cut", "given-up", "left", "ok")
    ]


def test_a_worker_whose_disk_has_room_again_needs_no_attention() -> None:
    made = board(
        run_started("a", "b"),
        *running("a"),
        *running("b"),
        SpoolBlocked(at=AT, worker=WorkerId("b"), attempt=1, stream="stdout", error="disk full"),
    )
    before = made.ordered(AT)
    made.apply(Record(99, SpoolResumed(at=AT, worker=WorkerId("b"), attempt=1, stream="stdout")))

    assert before == ["b", "a"]
    assert made.ordered(AT) == ["a", "b"]


@pytest.mark.parametrize(
    ("events", "quiet"),
    [
        ((starting("a", at=AT),), 10.0),
        ((starting("a", at=AT), started("a", at=AT + 2)), 8.0),
        ((starting("a", at=AT), started("a", at=AT + 2), output("a", length=1, at=AT + 9)), 1.0),
        ((starting("a", at=AT), started("a", at=AT + 20)), 0.0),
    ],
)
def test_silence_counts_from_the_last_output_or_from_the_start(events: tuple[Event, ...], quiet: float) -> None:
    made = board(run_started("a"), *events)

    assert silence(made.view.tasks[A].attempts[-1], AT + 10) == quiet


def test_what_concerns_the_whole_run_is_a_notice_and_old_ones_go() -> None:
    made = board(
        run_started("a"),
        *(KeeperLost(at=AT + number, pid=number, reason="killed") for number in range(20)),
        exited("a", swept=("7 sleep 99",)),
    )

    assert len(made.notices) == 8
    assert made.notices[-2].text == "the keeper (pid 19) is lost: killed"
    assert made.notices[-1].text == "a: ended 1 process left behind: 7 sleep 99"


def test_what_happens_to_one_task_alone_is_no_notice() -> None:
    made = board(run_started("a"), *running("a"), exited("a"), status("a", "failed"))

    assert not made.notices


def test_what_holds_is_told_until_it_is_over_and_behind_what_only_happened() -> None:
    made = board(run_started("a"), KeeperLost(at=AT, pid=1, reason="killed"))
    made.say("journal", "the disk is full")
    made.say("supervisor", "it is stopped")
    made.say("journal", "the disk is still full")

    soon, later = made.told(AT), made.told(AT + 3600)
    made.say("supervisor", "")

    assert soon == ["the keeper (pid 1) is lost: killed", "it is stopped", "the disk is still full"]
    assert later == ["it is stopped", "the disk is still full"]
    assert made.told(AT + 3600) == ["the disk is still full"]


@pytest.mark.parametrize(
    ("about", "event"),
    [
        (JOURNAL, JournalResumed(at=AT, seconds=3, error="full")),
        (SIGNAL, RunStopping(at=AT, reason="SIGINT", grace=3)),
    ],
)
def test_what_a_record_tells_to_be_over_holds_no_more(about: str, event: Event) -> None:
    made = board(run_started("a"))
    made.say(about, "it is so")

    made.apply(Record(2, event))

    assert not made.standing


def test_what_was_cut_off_is_not_shown_any_more() -> None:
    gap = WorkerGap(
        at=AT, worker=WorkerId("a"), attempt=1, stream="stdout", offset=0, lost=5, why="it was cut", cut=True
    )
    made = board(run_started("a"), *running("a"), output("a", length=5), output("a", stream="stderr", length=2), gap)

    assert list(made.activities[TaskId("a")].latest) == [OutputRange("stderr", 0, 2)]
    assert made.view.tasks[TaskId("a")].attempts[-1].output["stdout"] == 0
    assert [notice.text for notice in made.notices] == ["a: GAP in stdout: 5 bytes are lost: it was cut"]
