import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.events import Event, Record
from protocols.states import RunView
from supervisor.fleets import Fleet
from supervisor.report import Report, StreamReport, build_report, count_lines, read_report, write_report
from supervisor.state import open_state
from tests.made_fleets import (
    AT,
    attempt_id,
    exited,
    fill_spool,
    judged,
    make_fleet,
    run_ended,
    run_started,
    started,
    starting,
    status,
)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(open_state(tmp_path / ".callboard"), None, at=AT)


def report_on(fleet: Fleet, *events: Event) -> Report:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    assert fleet.identity is not None
    return build_report(fleet.folder, fleet.identity, view)


def test_a_report_tells_of_the_run_and_its_totals(fleet: Fleet) -> None:
    fill_spool(fleet, "a", b"one\ntwo")
    fill_spool(fleet, "a", b"oops\n", stream="stderr")
    fill_spool(fleet, "b", b"three\n")
    fill_spool(fleet, "b", b"four\r\n", stream="terminal")

    report = report_on(
        fleet,
        run_started("a", "b", "c"),
        starting("a"),
        started("a"),
        exited("a", swept=("7 sleep 9",)),
        status("a", "succeeded"),
        starting("b"),
        started("b"),
        exited("b", code=3),
        status("b", "failed", reason="exit code 3"),
        status("c", "skipped"),
        run_ended(succeeded=1, failed=1, skipped=1),
    )

    assert fleet.identity is not None
    assert (report.run, report.fleet, report.plan) == (fleet.identity.run, fleet.identity.fleet, "plan.toml")
    assert (report.outcome, report.started_at, report.ended_at) == ("failed", AT, AT + 3)
    assert msgspec.structs.asdict(report.totals) == {
        "tasks": 3,
        "statuses": {"succeeded": 1, "failed": 1, "skipped": 1},
        "attempts": 2,
        "stdout": StreamReport(bytes=13, lines=3),
        "stderr": StreamReport(bytes=5, lines=1),
        "terminal": StreamReport(bytes=6, lines=1),
        "log": StreamReport(bytes=0, lines=0),
        "session": StreamReport(bytes=0, lines=0),
        "gaps": 0,
        "swept": 1,
        "use": None,
        "work_seconds": 4.0,
        "seconds": 3.0,
    }
    assert [(task.id, task.status, task.reason) for task in report.tasks] == [
        ("a", "succeeded", ""),
        ("b", "failed", "exit code 3"),
        ("c", "skipped", ""),
    ]


def test_every_attempt_is_told(fleet: Fleet) -> None:
    fill_spool(fleet, "a", b"first\n")
    fill_spool(fleet, "a", b"second", attempt=2)

    report = report_on(
        fleet,
        run_started("a"),
        starting("a", at=AT),
        started("a", at=AT + 0.5),
        exited("a", code=None, signal="SIGKILL", reason="timeout", ended_at=AT + 2),
        starting("a", 2, at=AT + 3),
        started("a", 2, at=AT + 3),
        exited("a", 2, ended_at=AT + 7.25),
    )

    [task] = report.tasks
    first, second = task.attempts
    assert (first.number, first.id, first.started_at, first.ended_at) == (1, attempt_id("a"), AT + 0.5, AT + 2)
    assert (first.code, first.signal, first.reason, first.seconds) == (None, "SIGKILL", "timeout", 1.5)
    assert first.stdout == StreamReport(bytes=6, lines=1)
    assert (second.code, second.seconds, second.stdout) == (0, 4.25, StreamReport(bytes=6, lines=1))
    assert task.seconds == 6.75


def test_what_is_not_known_is_not_told(fleet: Fleet) -> None:
    report = report_on(
        fleet, run_started("a", "b"), starting("a"), starting("b"), exited("b", reason="lost", code=None)
    )

    running, lost = (task.attempts[0] for task in report.tasks)
    assert (running.ended_at, running.seconds, running.code, running.reason) == (None, None, None, None)
    assert (lost.ended_at, lost.seconds, lost.reason) == (None, None, "lost")
    assert (report.outcome, report.ended_at, report.totals.seconds) == (None, None, None)


def test_it_is_told_how_long_a_worker_stood_still_in_all(fleet: Fleet) -> None:
    report = report_on(
        fleet,
        run_started("a", "b"),
        *(event for name in "ab" for event in (starting(name), started(name), judged(name, "quiet"))),
        judged("a", "stalled", at=AT + 300),
        judged("a", "working", at=AT + 310),
        judged("a", "stalled", at=AT + 400),
        exited("a", ended_at=AT + 402.5),
        judged("a", "stalled", at=AT + 500),
    )

    assert [task.attempts[0].stalled_seconds for task in report.tasks] == [12.5, 0]


def test_a_clock_that_was_set_back_makes_no_negative_time(fleet: Fleet) -> None:
    report = report_on(fleet, run_started("a"), starting("a"), started("a", at=AT), exited("a", ended_at=AT - 100))

    assert report.tasks[0].attempts[0].seconds == 0


def test_a_run_that_never_began_has_a_report(fleet: Fleet) -> None:
    report = report_on(fleet)

    assert (report.tasks, report.outcome, report.started_at) == ((), None, AT)


def test_a_report_is_read_as_it_was_written(fleet: Fleet) -> None:
    report = report_on(fleet, run_started("a"), starting("a"), started("a"), exited("a"), run_ended(succeeded=1))
    write_report(fleet.folder, report)

    assert read_report(fleet.folder) == report
    assert fleet.folder.report_json.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [None, b"", b"{", b'{"format":1}', b"\xff"])
def test_a_report_that_cannot_be_read_is_none(fleet: Fleet, text: bytes | None) -> None:
    if text is not None:
        fleet.folder.report_json.write_bytes(text)

    assert read_report(fleet.folder) is None


@pytest.mark.parametrize(
    ("data", "lines"),
    [(b"", 0), (b"\n", 1), (b"a", 1), (b"a\nb", 2), (b"a\nb\n", 2), (b"\0\xff\r\n", 1), (b"x" * 3_000_000, 1)],
)
def test_a_last_line_without_its_end_counts(tmp_path: Path, data: bytes, lines: int) -> None:
    (tmp_path / "file").write_bytes(data)

    assert count_lines(tmp_path / "file") == StreamReport(bytes=len(data), lines=lines)


@given(st.binary(max_size=200))
def test_lines_are_those_of_the_whole_whatever_the_chunks(data: bytes) -> None:
    fd = os.memfd_create("spool")
    try:
        os.write(fd, data)
        path = Path(f"/proc/self/fd/{fd}")
        expected = len(data.split(b"\n")) - (data.endswith(b"\n") or not data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("supervisor.report._CHUNK", 7)
            patch.setattr("os.O_NOFOLLOW", 0)
            assert count_lines(path) == StreamReport(bytes=len(data), lines=expected)
    finally:
        os.close(fd)


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert count_lines(tmp_path / "none") == StreamReport(bytes=0, lines=0)
