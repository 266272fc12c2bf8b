"""``session-log.json``: one for each task, whole or not at all."""

import json
import subprocess
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocols.event_codec import encode_record
from protocols.events import Event, Record
from protocols.ids import TaskId, WorkerId
from protocols.session_entries import Aborted, Begun, Happened
from protocols.session_events import SessionStarted, SessionUsage
from protocols.states import RunView
from supervisor.fleets import Fleet
from supervisor.report import Report, build_report
from supervisor.report_files import keep_report
from supervisor.state import open_state
from supervisor.summary import find_report
from supervisor.task_logs import have_task_logs, write_task_logs
from tests.detached import DURABLE, kill
from tests.made_fleets import (
    AT,
    add_records,
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
from tests.running import CALLBOARD, callboard, resumed, running, task

A = TaskId("a")
OF_A = (
    status("a", "running", attempt=1),
    starting("a"),
    started("a"),
    output("a", length=3),
    exited("a"),
    status("a", "succeeded", attempt=1),
)
OF_B = (status("b", "skipped", reason="not wanted"),)
MANY = 100_000


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return make_fleet(open_state(tmp_path / ".callboard"), at=AT)


def recorded(fleet: Fleet, *events: Event) -> Report:
    """The report of a run with these records."""
    add_records(fleet, events)
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    assert fleet.identity is not None
    return build_report(fleet.folder, fleet.identity, view)


def read_log(fleet: Fleet, name: str = "a") -> dict[str, Any]:
    log: dict[str, Any] = json.loads(fleet.folder.task_log(TaskId(name)).read_bytes())
    return log


def test_it_has_what_the_task_came_to_and_all_of_its_records(fleet: Fleet) -> None:
    events = (run_started("a", "b"), *OF_A, *OF_B, run_ended(succeeded=1, skipped=1))
    report = recorded(fleet, *events)

    write_task_logs(fleet.folder, report)

    log = read_log(fleet)
    assert {name: log[name] for name in ("format", "run", "task", "status", "reason", "sessions", "seconds")} == {
        "format": 1,
        "run": report.run,
        "task": "a",
        "status": "succeeded",
        "reason": "",
        "sessions": [],
        "seconds": 2.0,
    }
    assert (log["started_at"], log["ended_at"], log["counts"]["attempts"], log["counts"]["tools"]) == (
        AT,
        AT + 2,
        1,
        None,
    )
    assert [attempt["code"] for attempt in log["attempts"]] == [0]
    told = [json.loads(encode_record(Record(seq, event))) for seq, event in enumerate(events, 1) if event in OF_A]
    assert (log["events"], log["counts"]["records"]) == (told, len(told))
    skipped = read_log(fleet, "b")
    assert (skipped["reason"], skipped["started_at"], len(skipped["events"])) == ("not wanted", None, 1)
    assert fleet.folder.task_log(A).stat().st_mode & 0o777 == 0o600


def test_of_a_session_it_has_what_it_used_and_all_that_its_server_said(fleet: Fleet) -> None:
    place: dict[str, Any] = {"worker": WorkerId("a"), "attempt": 1, "session": "ses_1"}
    entries = [
        Begun(at=AT + 0.5, session="ses_1", server="http://x", directory="/work"),
        Happened(at=AT + 1.5, session="ses_1", event=msgspec.Raw(b'{"id":"1","type":"session.idle"}')),
        Aborted(at=AT + 1.7, outcome="aborted"),
    ]
    lines = b",\n".join(map(msgspec.json.encode, entries))
    path = fill_spool(fleet, "a", b"").parent / "session-events.json"
    path.write_bytes(b'{"format":1,"events":[\n' + lines[:-5])  # a kill has torn the last one
    said = SessionStarted(at=AT, server="http://x", directory="/work", **place)
    used = SessionUsage(at=AT + 1, tools=3, commands=2, files=1, input=10, output=4, **place)

    write_task_logs(fleet.folder, recorded(fleet, run_started("a"), starting("a"), said, used, exited("a")))

    log = read_log(fleet)
    assert (log["sessions"], log["counts"]["tools"], log["counts"]["commands"], log["counts"]["files"]) == (
        ["ses_1"],
        3,
        2,
        1,
    )
    assert [event["type"] for event in log["events"]] == [
        "attempt.starting",
        "session.started",
        "session.entry",
        "session.usage",
        "session.entry",
        "worker.exited",
    ]
    assert log["events"][4]["event"] == {"id": "1", "type": "session.idle"}
    assert (log["events"][4]["kind"], log["events"][4]["attempt"], log["events"][4]["worker"]) == ("event", 1, "a")


def test_one_that_says_so_already_is_left_alone_and_any_other_is_replaced(fleet: Fleet) -> None:
    report = recorded(fleet, run_started("a"), *OF_A, run_ended(succeeded=1))
    write_task_logs(fleet.folder, report)
    path = fleet.folder.task_log(A)
    before, whole = path.stat().st_ino, path.read_bytes()

    write_task_logs(fleet.folder, report)
    assert path.stat().st_ino == before

    path.write_bytes(whole[:-2])
    write_task_logs(fleet.folder, report)
    assert path.read_bytes() == whole

    failed = msgspec.structs.replace(report.tasks[0], status="failed")
    write_task_logs(fleet.folder, msgspec.structs.replace(report, tasks=(failed,)))
    assert read_log(fleet)["status"] == "failed"


def test_a_log_that_cannot_be_written_keeps_nothing_else_from_being_written(fleet: Fleet) -> None:
    report = recorded(fleet, run_started("a"), *OF_A, run_ended(succeeded=1))
    (fleet.folder.root / "tasks").touch()

    with pytest.raises(OSError, match="tasks"):
        keep_report(fleet.folder, report)

    assert fleet.folder.report_json.exists()
    assert fleet.folder.report_markdown.exists()
    assert not have_task_logs(fleet.folder, report)


def test_what_is_missing_is_written_when_somebody_looks(fleet: Fleet) -> None:
    recorded(fleet, run_started("a"), *OF_A, run_ended(succeeded=1))

    find_report(fleet)
    assert (read_log(fleet)["status"], fleet.folder.report_json.exists()) == ("succeeded", True)

    fleet.folder.task_log(A).unlink()
    find_report(fleet)
    assert read_log(fleet)["status"] == "succeeded"


def test_a_long_one_is_written_without_holding_it_and_a_kill_leaves_none_half_written(tmp_path: Path) -> None:
    fleet = make_fleet(open_state(tmp_path / ".callboard"), at=AT)
    many = [output("a", offset=3 * number, length=3) for number in range(MANY)]
    add_records(fleet, [run_started("a"), starting("a"), started("a"), *many, exited("a"), run_ended(succeeded=1)])
    path = fleet.folder.task_log(A)

    report = subprocess.Popen([CALLBOARD, "report"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 25
    while not list(path.parent.glob(".session-log*")) and not path.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    report.kill()
    report.wait()
    assert not path.exists() or len(read_log(fleet)["events"]) == MANY + 3

    tracemalloc.start()
    found = find_report(fleet)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found.outcome == "succeeded"
    assert len(read_log(fleet)["events"]) == MANY + 3
    assert most < path.stat().st_size / 3


def test_every_task_of_a_run_gets_one_and_after_a_kill_the_next_supervisor_writes_them(tmp_path: Path) -> None:
    plan = (
        task("first", "echo one", workspace="folder"),
        task("wait", "while [ ! -e go ]; do sleep 0.01; done", needs=["first"]),
        task("fails", "exit 3", needs=["wait"]),
        task("never", "true", needs=["fails"]),
    )
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.wait_for_output("first", b"one")
        run.wait_until(lambda: any(event.attempt for event in run.events(type(started("wait")), "wait")))
        kill(run)
        (tmp_path / "go").touch()
        with resumed(tmp_path) as again:
            again.finish(1)

            logs = {name: read_log(again.fleet, name) for name in ("first", "wait", "fails", "never")}
            assert [log["status"] for log in logs.values()] == ["succeeded", "succeeded", "failed", "skipped"]
            for name, log in logs.items():
                told = {each.seq for each in again.records() if name in _about(each)}
                assert {event["seq"] for event in log["events"]} == told
            assert "first" in json.loads(callboard(tmp_path, "report", "--json").stdout)["tasks"][0]["id"]


def _about(record: Record) -> set[object]:
    return {getattr(record.event, "worker", None), getattr(record.event, "task", None)}
