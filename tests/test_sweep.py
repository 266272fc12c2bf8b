import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from actors.journal_file import read_records
from actors.keeper_process.procfs import read_process
from protocols.errors import JournalError
from protocols.events import RunEnded, WorkerExited, WorkerStarted
from protocols.fleet_events import FleetSwept
from supervisor import leftovers
from supervisor.fleets import Fleet, create_fleet, find_fleets
from supervisor.locks import hold_lock
from supervisor.machine import boot_id
from supervisor.state import open_state
from supervisor.sweep import conclude, conclude_all, find_end
from tests.made_fleets import (
    AT,
    add_records,
    exited,
    fill_spool,
    make_fleet,
    run_ended,
    run_started,
    started,
    starting,
    status,
)

CONCLUDE = """
import sys
from pathlib import Path
from supervisor.fleets import find_fleet
from supervisor.sweep import conclude
print(conclude(find_fleet(Path(sys.argv[1]), None)))
"""
HOLD = """
import sys
from pathlib import Path
from supervisor.locks import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""
CREATE = """
import sys
from pathlib import Path
from supervisor.fleets import create_fleet
with create_fleet(Path(sys.argv[1]), plan="p", cwd="/", version="1") as fleet:
    pass
print("ready", flush=True)
sys.stdin.read()
"""
START = """
import os, subprocess, sys, time
from pathlib import Path
from supervisor.fleets import create_fleet
with create_fleet(Path(sys.argv[1]), plan="p", cwd="/", version="1") as fleet:
    os.environ["CALLBOARD_MARK"] = fleet.identity.fleet + "/1"
    subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.05; done"])
    time.sleep(60)
"""
NOW = 5000.0


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_GRACE", 0.05)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


@contextmanager
def running(*command: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
                pass  # it appears a moment after the program has begun
            yield process
        finally:
            process.kill()


def mark(fleet: Fleet) -> str:
    assert fleet.identity is not None
    return f"{fleet.identity.fleet}/{uuid.uuid4().hex}"


def change_identity(fleet: Fleet, **changes: object) -> Fleet:
    assert fleet.identity is not None
    identity = msgspec.structs.replace(fleet.identity, **changes)
    fleet.folder.identity.write_bytes(msgspec.json.encode(identity))
    return Fleet(fleet.folder, identity, "", fleet.started_at)


def started_as(pid: int, **changes: object) -> WorkerStarted:
    process = read_process(pid)
    assert process is not None
    return msgspec.structs.replace(started("a", pid=pid, start_ticks=process.start_ticks), **changes)


def tags(fleet: Fleet) -> list[str]:
    return [str(record.event.__struct_config__.tag) for record in read_records(fleet.folder.journal)]


def test_the_run_of_a_dead_fleet_is_interrupted(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), status("a", "running"), starting("a"), started("a")])

    assert conclude(fleet, now=lambda: NOW)

    assert tags(fleet)[4:] == ["worker.exited", "task.status_changed", "run.ended"]
    assert find_end(fleet) == RunEnded(at=AT, outcome="interrupted", counts={"stopped": 1})
    assert json.loads(fleet.folder.report_json.read_bytes())["outcome"] == "interrupted"
    assert "interrupted" in fleet.folder.report_markdown.read_text()


def test_concluding_again_changes_nothing(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a")])
    conclude(fleet)
    before = list(read_records(fleet.folder.journal))

    assert not conclude(fleet)
    assert list(read_records(fleet.folder.journal)) == before


def test_a_fleet_that_has_ended_is_left_alone(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), exited("a"), run_ended(succeeded=1)])
    with running("sleep", "60", CALLBOARD_MARK=mark(fleet)) as process:
        assert not conclude(fleet)
        assert process.poll() is None

    assert not fleet.folder.report_json.exists()


def test_a_living_fleet_is_left_alone(state: Path) -> None:
    with create_fleet(state, plan="", cwd="", version=""):
        [fleet] = find_fleets(state)
        add_records(fleet, [run_started("a")])
        with running("sleep", "60", CALLBOARD_MARK=mark(fleet)) as process:
            assert not conclude(fleet)
            assert process.poll() is None

    assert tags(fleet) == ["run.started"]


def test_a_supervisor_may_conclude_its_own_run_once_it_has_let_go(state: Path) -> None:
    with create_fleet(state, plan="", cwd="", version=""):
        [fleet] = find_fleets(state)

    assert conclude(fleet)


def test_a_process_that_has_let_go_but_still_lives_is_given_its_time(state: Path) -> None:
    with running(sys.executable, "-c", CREATE, str(state)) as supervisor:
        assert supervisor.stdout
        supervisor.stdout.readline()
        [fleet] = find_fleets(state)
        assert not fleet.is_alive()

        assert not conclude(fleet)
    assert conclude(fleet)


def test_a_fleet_that_lives_out_of_our_sight_is_left_alone(state: Path) -> None:
    fleet = change_identity(make_fleet(state, [run_started("a")]), pid_namespace=1)

    with hold_lock(fleet.folder.lock):
        assert not conclude(fleet)
    assert conclude(fleet)


def test_a_fleet_without_a_journal_was_killed_right_after_its_start(state: Path) -> None:
    fleet = make_fleet(state, None)

    assert conclude(fleet, now=lambda: NOW)
    assert find_end(fleet) == RunEnded(at=NOW, outcome="interrupted", counts={})


def test_a_journal_that_is_gone_is_no_fleet_that_never_began(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), starting("a"), started("a")])
    fill_spool(fleet, "a", b"out")
    fleet.folder.report_json.write_text("{}")
    fleet.folder.journal.unlink()

    with pytest.raises(JournalError, match="is gone; put it back, or read what is left beside it"):
        conclude(fleet)

    assert not fleet.folder.journal.exists()
    assert fleet.folder.report_json.read_text() == "{}"


def test_marked_processes_are_ended_and_named(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a")])
    with running("sleep", "60", CALLBOARD_MARK=mark(fleet)) as process:
        assert conclude(fleet, now=lambda: NOW)

        assert process.wait() == -signal.SIGTERM
    events = [record.event for record in read_records(fleet.folder.journal)]
    assert FleetSwept(at=NOW, processes=(f"{process.pid} sleep 60",)) in events


def test_a_recorded_worker_is_ended_by_its_pid_and_start(state: Path) -> None:
    with running("sleep", "60") as process:
        fleet = make_fleet(state, [run_started("a"), starting("a"), started_as(process.pid)])

        assert conclude(fleet)
        assert process.wait() == -signal.SIGTERM


@pytest.mark.parametrize("difference", [{"start_ticks": 5}, {"boot_id": "another"}, {"pid_namespace": 1}])
def test_a_process_that_only_has_the_pid_of_a_worker_is_left_alone(state: Path, difference: dict[str, object]) -> None:
    with running("sleep", "60") as process:
        fleet = make_fleet(state, [run_started("a"), starting("a"), started_as(process.pid, **difference)])

        assert conclude(fleet)
        assert process.poll() is None
    assert "fleet.swept" not in tags(fleet)


def test_a_worker_that_had_ended_is_not_looked_for(state: Path) -> None:
    with running("sleep", "60") as process:
        fleet = make_fleet(state, [run_started("a"), starting("a"), started_as(process.pid), exited("a")])

        assert conclude(fleet)
        assert process.poll() is None


def test_a_copy_of_a_fleet_ends_no_processes(state: Path, tmp_path: Path) -> None:
    fleet = make_fleet(state, [run_started("a")])
    subprocess.run(["cp", "-a", state, tmp_path / "copy"], check=True)
    [copy] = find_fleets(tmp_path / "copy")
    with running("sleep", "60", CALLBOARD_MARK=mark(fleet)) as process:
        assert conclude(copy)
        assert process.poll() is None

    assert tags(copy) == ["run.started", "task.status_changed", "run.ended"]
    assert tags(fleet) == ["run.started"]


def test_the_keeper_gets_time_to_finish(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a")])
    with (
        running(sys.executable, "-c", HOLD, str(fleet.folder.keeper_lock)) as keeper,
        running(sys.executable, "-c", CONCLUDE, str(state)) as sweeper,
    ):
        assert keeper.stdin and keeper.stdout and sweeper.stdout
        keeper.stdout.readline()
        while fleet.owner() != sweeper.pid:
            assert sweeper.poll() is None
        assert tags(fleet) == ["run.started"]
        keeper.stdin.close()

        assert sweeper.stdout.read() == "True\n"
        assert keeper.wait() == 0


def test_a_keeper_that_hangs_is_killed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.conclusion._KEEPER_PATIENCE", 0.05)
    fleet = make_fleet(state, [run_started("a")])
    with running(sys.executable, "-c", HOLD, str(fleet.folder.keeper_lock)) as keeper:
        assert keeper.stdout
        keeper.stdout.readline()
        keeper.send_signal(signal.SIGSTOP)

        assert conclude(fleet)
        assert keeper.wait() == -signal.SIGKILL


def test_while_processes_resist_the_run_has_no_end(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_DEADLINE", 0.0)
    monkeypatch.setattr(leftovers, "_GRACE", 60.0)
    fleet = make_fleet(state, [run_started("a")])
    with running("sh", "-c", "trap '' TERM; echo; read _", CALLBOARD_MARK=mark(fleet)) as process:
        assert process.stdout
        process.stdout.readline()

        assert not conclude(fleet)
    assert tags(fleet) == ["run.started"]

    assert conclude(fleet)


@pytest.mark.parametrize("repetition", range(3))
def test_two_callboards_at_once_write_one_end(state: Path, repetition: int) -> None:
    fleet = make_fleet(state, [run_started("a"), starting("a"), started("a")])
    command = [sys.executable, "-c", CONCLUDE, str(state)]
    sweepers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    told = sorted(sweeper.communicate()[0] for sweeper in sweepers)

    assert told == ["False\n", "False\n", "True\n"]
    assert tags(fleet)[3:] == ["worker.exited", "task.status_changed", "run.ended"]


def test_a_callboard_that_belongs_to_the_fleet_does_not_end_itself(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a")])
    with running(sys.executable, "-c", CONCLUDE, str(state), CALLBOARD_MARK=mark(fleet)) as worker:
        assert worker.communicate()[0] == "False\n"

    assert conclude(fleet)


def test_the_journal_of_a_newer_version_is_not_touched(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a")])
    with closing(sqlite3.connect(fleet.folder.journal)) as db:
        db.execute("PRAGMA user_version = 99")
    before = fleet.folder.journal.read_bytes()
    with running("sleep", "60", CALLBOARD_MARK=mark(fleet)) as process:
        with pytest.raises(JournalError, match="format 99"):
            conclude(fleet)
        assert process.poll() is None

    assert fleet.folder.journal.read_bytes() == before


def test_one_broken_fleet_does_not_keep_the_others_from_being_concluded(state: Path) -> None:
    broken = make_fleet(state, None, at=3.0)
    broken.folder.journal.write_bytes(b"this is no database, whatever its name says" * 100)
    damaged = make_fleet(state, None, at=2.0)
    damaged.folder.identity.write_bytes(b"{")
    whole = make_fleet(state, [run_started("a")], at=1.0)

    assert len(conclude_all(state)) == 3
    assert find_end(whole) is not None
    assert not damaged.folder.journal.exists()


def test_a_fleet_that_was_removed_meanwhile_is_no_error(state: Path) -> None:
    fleet = make_fleet(state, None)
    fleet.folder.root.rename(state / ".old")

    assert not conclude(fleet)


def test_a_supervisor_killed_in_the_middle_is_concluded_with_all_that_it_started(state: Path) -> None:
    with running(sys.executable, "-c", START, str(state)) as supervisor:
        assert supervisor.stdout
        worker = int(supervisor.stdout.readline())
        [fleet] = find_fleets(state)
        assert fleet.is_alive()
        supervisor.kill()
        supervisor.wait()

        assert conclude(fleet)
        left = read_process(worker)
        assert left is None or not left.alive
    assert "fleet.swept" in tags(fleet)


def test_an_older_boot_left_no_processes_but_an_end_to_write(state: Path) -> None:
    fleet = change_identity(make_fleet(state, [run_started("a")]), boot_id="0" * 32)
    assert fleet.identity is not None and fleet.identity.boot_id != boot_id()

    assert conclude(fleet)
    assert [type(record.event) for record in read_records(fleet.folder.journal, types={"worker.exited"})] == []
    assert WorkerExited.__struct_config__.tag not in tags(fleet)
