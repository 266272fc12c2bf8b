"""What a run looks like, line by line."""

import msgspec
import pytest
from hypothesis import given

from protocols.events import (
    Event,
    Record,
    RunStopping,
    SpoolBlocked,
    SpoolResumed,
    WorkerGap,
    WorkerMismatch,
    WorkerStopping,
)
from protocols.fleet_events import (
    ActorFailed,
    FleetSwept,
    JournalResumed,
    KeeperLost,
    KeeperStarted,
    ProcessUnattributed,
    SupervisorLeft,
)
from protocols.ids import WorkerId
from protocols.plain import PlainLines, format_counts
from tests.made_events import records
from tests.made_fleets import AT, exited, judged, output, run_ended, run_started, started, starting, status

A = WorkerId("a")


def lines(*events: Event) -> list[str]:
    """What is printed for a run of these events, behind the time."""
    plain = PlainLines()
    told = [line for seq, event in enumerate(events, 1) for line in plain.feed(Record(seq, event))]
    assert [line[:11] for line in told] == ["     0.0s  "] * len(told)
    return [line[11:] for line in told]


def last(*events: Event) -> str:
    return lines(run_started("a"), starting("a"), started("a"), *events)[-1]


def test_each_change_of_a_task_is_a_line_and_output_is_none() -> None:
    assert lines(
        KeeperStarted(at=AT, pid=1, generation=1),
        run_started("a"),
        status("a", "running", attempt=1),
        starting("a"),
        started("a"),
        output("a", length=5),
        exited("a", started_at=AT, ended_at=AT + 2),
        status("a", "succeeded", attempt=1),
        msgspec.structs.replace(run_ended(succeeded=1), at=AT),
    ) == [
        "run aaaaaaaa: 1 task of plan.toml",
        "a: started, pid 4194305: true",
        "a: succeeded in 2s",
        "run aaaaaaaa: succeeded (1 succeeded)",
    ]


def test_the_time_counts_from_the_start_of_the_run() -> None:
    plain = PlainLines()
    plain.feed(Record(1, run_started("a")))

    assert plain.feed(Record(2, status("a", "skipped", reason="why", at=AT + 3725.04))) == [
        "  3725.0s  a: skipped: why"
    ]


def test_a_retry_tells_when_and_the_next_start_which_attempt() -> None:
    failed = msgspec.structs.replace(status("a", "retrying", attempt=1, reason="exit code 3"), retry_at=AT + 0.25)

    assert last(failed) == "a: retrying: exit code 3; attempt 2 in 250ms"
    assert last(failed, starting("a", 2), started("a", 2)) == "a: started (attempt 2), pid 4194305: true"


def test_who_waits_for_the_machine_is_told_with_the_reason_and_its_end_is_none_of_a_line() -> None:
    waits = status("a", "pending", reason="waits: 212 MB of memory free, 512 MB wanted")

    assert lines(waits, status("a", "pending")) == ["a: waits: 212 MB of memory free, 512 MB wanted"]


def test_a_failure_that_is_allowed_is_told_as_such() -> None:
    failed = msgspec.structs.replace(status("a", "failed", reason="exit code 3"), allowed=True)

    assert last(failed) == "a: failed: exit code 3 (allowed)"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            RunStopping(at=AT, reason="SIGINT", grace=10.0),
            "stopping (SIGINT): TERM now, KILL after 10s; a second Ctrl-C kills at once",
        ),
        (
            RunStopping(at=AT, reason="SIGINT again", grace=0.0),
            "stopping (SIGINT again): KILL now; a third Ctrl-C leaves at once",
        ),
        (RunStopping(at=AT, reason="SIGTERM", grace=10.0), "stopping (SIGTERM): TERM now, KILL after 10s"),
        (
            WorkerStopping(at=AT, worker=A, attempt=1, reason="timeout", grace=2.0),
            "a: timeout: TERM now, KILL after 2s",
        ),
        (exited("a", swept=("7 sleep 9",)), "a: ended 1 process left behind: 7 sleep 9"),
        (exited("a", swept=("7 x", "8 y")), "a: ended 2 processes left behind: 7 x, 8 y"),
        (FleetSwept(at=AT, processes=("7 x", "8 y")), "ended 2 processes of no known worker: 7 x, 8 y"),
        (
            ProcessUnattributed(at=AT, pid=7, command="sleep 9"),
            "a process of no known worker: 7 sleep 9; it ends with the run",
        ),
        (WorkerStopping(at=AT, worker=A, attempt=1, reason="timeout", grace=0.0), "a: timeout: KILL now"),
        (KeeperLost(at=AT, pid=7, reason="killed"), "the keeper (pid 7) is lost: killed"),
        (KeeperStarted(at=AT, pid=8, generation=2), "a new keeper (pid 8) takes over"),
        (SupervisorLeft(at=AT, reason="an upgrade"), "the supervisor leaves (an upgrade); the workers go on"),
        (
            SupervisorLeft(at=AT, reason="an upgrade", restart=True),
            "the supervisor starts anew (an upgrade); the workers go on",
        ),
        (JournalResumed(at=AT, seconds=61.2, error="full"), "the journal could not be written for 1m1s: full"),
        (
            SpoolBlocked(at=AT, worker=A, attempt=1, stream="stdout", error="No space left on device"),
            "a: stdout waits, its spool cannot be written: No space left on device; tried each second",
        ),
        (SpoolResumed(at=AT, worker=A, attempt=1, stream="stdout"), "a: stdout goes on"),
        (
            WorkerMismatch(at=AT, worker=A, attempt=1, stream="stdout", written=3, spooled=2, recorded=1),
            "a: MISMATCH in stdout: 3 bytes copied, 2 in the spool, 1 recorded",
        ),
        (
            WorkerGap(at=AT, worker=A, attempt=1, stream="stdout", offset=0, lost=1, why="it was cut", cut=True),
            "a: GAP in stdout: 1 byte is lost: it was cut",
        ),
        (
            WorkerGap(at=AT, worker=A, attempt=1, stream="log", offset=7, lost=None, why="it was cut"),
            "a: GAP in log: nobody knows how many bytes are lost: it was cut",
        ),
        (ActorFailed(at=AT, actor="hub", error="x", restart_in=0.5), "internal error in hub (restarted in 0.5 s): x"),
        (ActorFailed(at=AT, actor="hub", error="x", restart_in=None), "internal error in hub (not restarted): x"),
    ],
)
def test_what_else_a_person_has_to_know_is_a_line(event: Event, text: str) -> None:
    assert last(msgspec.structs.replace(event, at=AT)) == text


def test_a_worker_that_goes_with_its_run_needs_no_line_of_its_own() -> None:
    stopping = WorkerStopping(at=AT, worker=A, attempt=1, reason="stop", grace=2.0)

    assert last(stopping) == last()


@given(records)
def test_no_sequence_of_records_raises_and_a_line_is_one_line_that_can_be_encoded(found: list[Record]) -> None:
    plain = PlainLines()
    for record in found:
        for line in plain.feed(record):
            line.encode()
            assert len(line.splitlines()) == 1 and "\x1b" not in line


def test_a_line_is_one_line_whatever_a_worker_is_called_with() -> None:
    evil = msgspec.structs.replace(starting("a"), argv=("x\n\x1b[31m", "y" * 200))

    (line,) = lines(run_started("a"), evil, started("a"))[1:]

    assert line.isprintable()
    assert line.endswith("y…")


def test_counts_come_in_one_order_and_none_are_told() -> None:
    assert (
        format_counts({"skipped": 1, "pending": 0, "failed": 2, "succeeded": 3}) == "3 succeeded, 2 failed, 1 skipped"
    )
    assert format_counts({}) == "no tasks"


def test_who_looks_on_is_not_told_what_ctrl_c_does_to_the_run() -> None:
    plain = PlainLines(leaves=True)
    plain.feed(Record(1, run_started("a")))

    (line,) = plain.feed(Record(2, RunStopping(at=AT, reason="SIGINT", grace=10.0)))

    assert line.endswith("stopping (SIGINT): TERM now, KILL after 10s")


def test_a_standstill_and_a_question_are_told_once_and_then_that_the_worker_goes_on() -> None:
    begun = (run_started("a"), starting("a"), started("a"))

    assert lines(
        *begun,
        judged("a", "working"),
        judged("a", "quiet", "x"),
        judged("a", "stalled", "last output 5m ago", "why"),
        judged("a", "quiet", "y"),
        judged("a", "stalled", "z"),
        judged("a", "unknown", "z"),
        judged("a", "testing"),
        judged("a", "working"),
        judged("a", "waiting-permission", "it asked"),
        judged("a", "stalled", "it asked too long"),
        judged("a", "reading"),
    )[2:] == [
        "a: stalled: last output 5m ago; why",
        "a: goes on (testing)",
        "a: waiting-permission: it asked",
        "a: stalled: it asked too long",
        "a: goes on (reading)",
    ]


def test_a_new_attempt_goes_on_from_nothing() -> None:
    begun = (run_started("a"), starting("a"), started("a"), judged("a", "stalled", "why"))

    after = lines(*begun, status("a", "failed", attempt=1, reason="x"), judged("a", "working", attempt=2))

    assert after[-1] == "a: failed: x"
