from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.keeper_process.status import Status, StatusFile
from protocols.events import Event, Record, RunEnded, TaskStatusChanged, WorkerExited, WorkerGap, WorkerMismatch
from protocols.fleet_events import FleetSwept
from protocols.ids import TaskId, WorkerId
from protocols.states import RunView
from protocols.task_output import TaskOutput
from supervisor.aftermath import closing_events
from supervisor.fleets import Fleet
from supervisor.machine import boot_id
from supervisor.state import open_state
from tests.made_fleets import (
    AT,
    attempt_id,
    exited,
    fill_spool,
    make_fleet,
    output,
    run_ended,
    run_started,
    started,
    starting,
    status,
)

NOW = AT + 100
LOST = "callboard and its keeper were killed; nobody saw how it ended"


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(open_state(tmp_path / ".callboard"), None)


def fold(*events: Event) -> RunView:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    return view


def write_status(fleet: Fleet, task: str, state: str, **more: object) -> None:
    path = fleet.folder.status(attempt_id(task))
    path.parent.mkdir(exist_ok=True)
    file = StatusFile(bytes(path))
    file.write(Status(state, attempt_id(task), 77, 1, boot_id())._replace(**more))  # type: ignore[arg-type]
    file.close()


def interrupted(at: float = AT, **counts: int) -> RunEnded:
    """It ended when something of it was last seen, not when somebody came to look."""
    return RunEnded(at=at, outcome="interrupted", counts=counts)


def lost(task: str, **more: object) -> Event:
    event = exited(task, code=None, reason="lost", error=LOST, at=NOW, ended_at=AT)
    return msgspec.structs.replace(event, **more)


def test_a_running_worker_that_nobody_saw_end_is_lost_and_its_task_stopped(fleet: Fleet) -> None:
    view = fold(run_started("a"), status("a", "running"), starting("a"), started("a"))

    assert closing_events(fleet.folder, view, (), NOW) == [
        lost("a"),
        status("a", "stopped", attempt=1, reason="callboard was killed", at=NOW),
        interrupted(stopped=1),
    ]


def test_the_status_file_of_the_keeper_tells_how_a_worker_ended(fleet: Fleet) -> None:
    view = fold(run_started("a"), status("a", "running"), starting("a"), started("a"))
    write_status(
        fleet, "a", "ended", signal="SIGKILL", exited_at=AT + 5, reason="orphaned", stdout_bytes=0, stderr_bytes=0
    )

    assert closing_events(fleet.folder, view, (), NOW) == [
        exited("a", code=None, signal="SIGKILL", reason="orphaned", at=NOW, ended_at=AT + 5),
        status("a", "stopped", attempt=1, reason="callboard was killed", at=NOW),
        interrupted(AT + 5, stopped=1),
    ]


def test_a_worker_that_ended_well_did_its_task(fleet: Fleet) -> None:
    view = fold(run_started("a"), status("a", "running"), starting("a"), started("a"))
    write_status(fleet, "a", "exited", code=0, exited_at=AT + 5)

    assert closing_events(fleet.folder, view, (), NOW) == [
        exited("a", at=NOW, ended_at=AT + 5),
        status("a", "succeeded", attempt=1, at=NOW),
        interrupted(AT + 5, succeeded=1),
    ]


@pytest.mark.parametrize("given", [True, False])
def test_a_worker_that_ended_well_did_its_task_only_where_its_output_is_recorded(fleet: Fleet, given: bool) -> None:
    write_status(fleet, "a", "exited", code=0, exited_at=AT + 5)
    recorded = TaskOutput(at=AT, task=TaskId("a"), attempt=1, form="json", bytes=1, sha256="", path="x")
    begun = msgspec.structs.replace(run_started("a"), givers=(TaskId("a"),))
    view = fold(begun, starting("a"), started("a"), *([recorded] if given else []))

    told = closing_events(fleet.folder, view, (), NOW)

    (status_of_it,) = [event for event in told if isinstance(event, TaskStatusChanged)]
    assert status_of_it.status == ("succeeded" if given else "stopped")


def test_the_end_of_a_recorded_worker_counts_for_its_task(fleet: Fleet) -> None:
    view = fold(run_started("a", "b"), starting("a"), started("a"), exited("a"), starting("b"), exited("b", code=3))

    assert closing_events(fleet.folder, view, (), NOW) == [
        status("a", "succeeded", attempt=1, at=NOW),
        status("b", "stopped", attempt=1, reason="callboard was killed", at=NOW),
        interrupted(AT + 2, succeeded=1, stopped=1),
    ]


def test_an_attempt_that_the_keeper_never_saw_was_not_started(fleet: Fleet) -> None:
    view = fold(run_started("a"), starting("a"))

    [first, *_] = closing_events(fleet.folder, view, (), NOW)

    assert first == lost(
        "a", reason="not-started", error="callboard was killed before it could be started", started_at=None
    )


def test_a_foreign_status_file_tells_nothing(fleet: Fleet) -> None:
    view = fold(run_started("a"), starting("a"), started("a"))
    write_status(fleet, "a", "ended", code=0, exited_at=AT, attempt="0" * 32)

    assert closing_events(fleet.folder, view, (), NOW)[0] == lost("a")


def test_bytes_that_no_record_covers_get_one(fleet: Fleet) -> None:
    view = fold(run_started("a"), starting("a"), started("a"), output("a", length=4))
    fill_spool(fleet, "a", b"0123456789")
    fill_spool(fleet, "a", b"oops", stream="stderr")

    assert closing_events(fleet.folder, view, (), NOW)[:3] == [
        output("a", offset=4, length=6, at=NOW),
        output("a", stream="stderr", length=4, at=NOW),
        lost("a", stdout_bytes=10, stderr_bytes=4),
    ]


def test_the_bytes_of_a_terminal_are_told_as_those_of_pipes(fleet: Fleet) -> None:
    view = fold(run_started("a"), starting("a", source="pty"), started("a"), output("a", stream="terminal", length=4))
    fill_spool(fleet, "a", b"0123456789", stream="terminal")
    write_status(fleet, "a", "exited", code=0, exited_at=AT, terminal_bytes=11)

    [first, second, third, *_] = closing_events(fleet.folder, view, (), NOW)

    assert first == output("a", stream="terminal", offset=4, length=6, at=NOW)
    assert second == WorkerMismatch(
        at=NOW, worker=WorkerId("a"), attempt=1, stream="terminal", written=11, spooled=10, recorded=10
    )
    assert isinstance(third, WorkerExited)
    assert (third.stdout_bytes, third.stderr_bytes, third.terminal_bytes) == (0, 0, 10)


def test_bytes_that_are_missing_are_declared(fleet: Fleet) -> None:
    view = fold(run_started("a"), starting("a"), started("a"), output("a", length=10))
    fill_spool(fleet, "a", b"0123")
    write_status(fleet, "a", "exited", code=0, exited_at=AT, stdout_bytes=12, stderr_bytes=0)

    [first, second, *_] = closing_events(fleet.folder, view, (), NOW)

    assert first == WorkerMismatch(
        at=NOW, worker=WorkerId("a"), attempt=1, stream="stdout", written=12, spooled=4, recorded=10
    )
    assert isinstance(second, WorkerExited)
    assert second.stdout_bytes == 4


def test_what_was_swept_is_named(fleet: Fleet) -> None:
    events = closing_events(fleet.folder, fold(run_started()), ("77 sleep 100",), NOW)

    assert events == [FleetSwept(at=NOW, processes=("77 sleep 100",)), interrupted(NOW)]


def test_tasks_that_never_began_are_stopped_and_final_ones_stay(fleet: Fleet) -> None:
    view = fold(run_started("a", "b", "c"), status("a", "failed"), status("b", "skipped"))

    assert closing_events(fleet.folder, view, (), NOW) == [
        status("c", "stopped", reason="callboard was killed", at=NOW),
        interrupted(failed=1, skipped=1, stopped=1),
    ]


def test_nothing_follows_an_end(fleet: Fleet) -> None:
    assert closing_events(fleet.folder, fold(run_started("a"), run_ended(succeeded=1)), ("7 x",), NOW) == []


WHOLE_RUN: list[Event] = [
    run_started("a", "b", "c"),
    status("a", "running", attempt=1),
    starting("a"),
    started("a"),
    output("a", length=3),
    output("a", stream="stderr", length=2),
    status("b", "running", attempt=1),
    starting("b"),
    exited("a", stdout_bytes=5, stderr_bytes=2),
    started("b"),
    status("a", "succeeded", attempt=1),
    output("a", offset=3, length=2),
    exited("b", code=1),
    status("b", "retrying", attempt=1),
    status("b", "running", attempt=2),
    starting("b", 2),
    started("b", 2),
    exited("b", 2, code=1),
    status("b", "failed", attempt=2),
    status("c", "skipped"),
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WHOLE_RUN)), st.integers(0, 9))
def test_killed_after_any_record_the_rest_completes_the_run(fleet: Fleet, cut: int, spooled: int) -> None:
    fill_spool(fleet, "a", b"x" * spooled)
    view = fold(*WHOLE_RUN[:cut])

    events = closing_events(fleet.folder, view, (), NOW)

    again = fold(*WHOLE_RUN[:cut], *events)
    assert again.outcome == "interrupted"
    assert again.ended_at is not None
    assert again.ended_at <= NOW
    assert again == view
    assert events[-1] == interrupted(again.ended_at, **again.counts())
    assert {task.status for task in again.tasks.values()} <= {"succeeded", "failed", "skipped", "stopped"}
    attempts = [attempt for task in again.tasks.values() for attempt in task.attempts]
    assert all(attempt.exited for attempt in attempts)
    told = [event for event in [*WHOLE_RUN[:cut], *events] if isinstance(event, WorkerExited)]
    assert len(told) == len(attempts)
    assert closing_events(fleet.folder, again, (), NOW) == []


def test_what_a_worker_cut_off_its_own_file_is_a_gap(fleet: Fleet) -> None:
    view = fold(run_started("a"), starting("a", source="logfile"), started("a"), output("a", length=10))
    fill_spool(fleet, "a", b"new")

    assert closing_events(fleet.folder, view, (), NOW)[:3] == [
        WorkerGap(
            at=NOW,
            worker=WorkerId("a"),
            attempt=1,
            stream="stdout",
            offset=0,
            lost=10,
            why="the worker cut the file that it writes",
            cut=True,
        ),
        output("a", length=3, at=NOW),
        lost("a", stdout_bytes=3),
    ]


def test_what_nobody_followed_any_more_is_a_gap_of_which_nobody_knows_the_size(fleet: Fleet) -> None:
    view = fold(
        run_started("a"), starting("a", source="logfile", log="/log"), started("a"), output("a", stream="log", length=1)
    )
    fill_spool(fleet, "a", b"123", stream="log")

    assert closing_events(fleet.folder, view, (), NOW)[:3] == [
        output("a", stream="log", offset=1, length=2, at=NOW),
        WorkerGap(
            at=NOW,
            worker=WorkerId("a"),
            attempt=1,
            stream="log",
            offset=3,
            lost=None,
            why="callboard was killed; what /log got since is only there",
        ),
        lost("a", log_bytes=3),
    ]


def test_a_task_of_which_the_sentinel_was_seen_did_its_work(fleet: Fleet) -> None:
    end = msgspec.structs.replace(exited("a", code=None), reason="sentinel")
    view = fold(run_started("a"), status("a", "running"), starting("a", source="logfile", log="/log"), end)

    assert status("a", "succeeded", attempt=1, at=NOW) in closing_events(fleet.folder, view, (), NOW)
