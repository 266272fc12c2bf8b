"""``callboard up`` starts anew, leaves its workers to the next one, goes on in the background, and is waited for."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from actors.journal_file import read_records
from protocols.adoption_events import WorkerAdopted
from protocols.event_codec import encode_record
from protocols.events import AttemptStarting, Record, RunEnded, RunResumed, WorkerExited, WorkerOutput, WorkerStarted
from protocols.fleet_events import KeeperStarted, SupervisorLeft
from protocols.port_params import Wanted
from supervisor.port_access import open_port
from supervisor.up_control import restart_up
from tests.detached import DURABLE, UNTIL_GO, go
from tests.instances import below, come_up, told
from tests.keeper_client import is_alive, wait_until_gone
from tests.running import CALLBOARD, callboard, running, task
from tests.standing_fleet import Up, up

pytestmark = pytest.mark.deadline(120)  # each starts a supervisor several times

TALK = f"echo begun >> log; while [ ! -e go ]; do echo x; sleep 0.02; done; {UNTIL_GO}"
QUIET = ("--port", "0")


def test_a_restart_is_the_same_process_and_its_workers_do_not_notice(tmp_path: Path) -> None:
    with up(tmp_path, *QUIET) as fleet:
        fleet.spawn(id="a", command=["sh", "-c", TALK])
        plan = task("leaf", TALK)
        fleet.done("submit", plan=plan, cwd=str(tmp_path), name="demo.toml")
        fleet.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(fleet, "demo")))
        workers = [fleet.wait_for(WorkerStarted, name).pid for name in ("a", "demo")]
        keeper = fleet.wait_for(KeeperStarted).pid
        before = port_file(fleet)

        said = callboard(tmp_path, "restart", patience=100).stdout

        assert f"pid {fleet.process.pid}) has started anew" in said
        assert port_file(fleet) == before
        assert all(map(is_alive, [*workers, keeper]))
        assert [event.restart for event in fleet.events(SupervisorLeft)] == [True]
        assert len(fleet.events(RunResumed)) == 1
        assert {event.worker for event in fleet.events(WorkerAdopted)} == {"a", "demo"}
        go(fleet)
        fleet.wait_until(lambda: ended(fleet) == {"a", "demo"})
        assert come_up(fleet, "demo") == [(each.seq, each.event) for each in told(below(fleet, "demo"))]
        assert len(fleet.events(AttemptStarting)) == 2
        assert (tmp_path / "log").read_text().split() == ["begun", "begun"]
        fleet.signal(signal.SIGTERM)
        fleet.finish(0)


def port_file(fleet: Up) -> dict[str, object]:
    found: dict[str, object] = json.loads((fleet.cwd / ".callboard" / "port.json").read_text())
    return found


def ended(fleet: Up) -> set[str]:
    return {event.worker for event in fleet.events(WorkerExited)}


def test_clients_wait_and_miss_nothing(tmp_path: Path) -> None:
    with up(tmp_path, *QUIET) as fleet:
        fleet.spawn(id="a", command=["sh", "-c", TALK])
        fleet.wait_for(WorkerStarted, "a")

        heard = trio.run(partial(_listen_meanwhile, fleet, restarts=3))

        written = [record for record in read_records(fleet.folder.journal) if record.seq <= len(heard)]
        assert list(map(encode_record, heard)) == list(map(encode_record, written))
        assert [event.restart for event in fleet.events(SupervisorLeft)] == [True] * 3
        assert sum(isinstance(record.event, RunResumed) for record in heard) == 3


async def _listen_meanwhile(fleet: Up, restarts: int) -> list[Record]:
    """What one client was told from the first record on, until all restarts are over and a worker spoke after them."""
    heard: list[Record] = []
    state = fleet.cwd / ".callboard"
    async with open_port(state) as client, trio.open_nursery() as nursery:

        async def restart() -> None:
            for _ in range(restarts):
                await trio.to_thread.run_sync(restart_up, state, "a test")
            go(fleet)

        nursery.start_soon(restart)
        async with client.subscribe(Wanted(workers="all"), after=0) as feed:
            async for records in feed:
                heard += records
                if any(isinstance(each.event, WorkerExited) for each in records):
                    break
        nursery.cancel_scope.cancel()
    return heard


def test_who_comes_while_it_starts_anew_waits_at_its_socket(tmp_path: Path) -> None:
    """The sockets are open all the time: nobody is refused."""
    with up(tmp_path, *QUIET) as fleet:
        host, port = str(port_file(fleet)["url"]).removeprefix("http://").split(":")
        fleet.done("shutdown", workers="leave", restart=True)
        answers = []
        while not fleet.events(RunResumed):
            with socket.create_connection((host, int(port)), timeout=60) as client:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answers.append(b"".join(iter(lambda client=client: client.recv(65536), b""))[:12])  # type: ignore[misc]

        assert set(answers) - {b""} == {b"HTTP/1.1 200"}  # those of the last moment before it get no answer


def test_workers_that_are_left_go_on_and_the_next_one_takes_them_up(tmp_path: Path) -> None:
    with up(tmp_path, *QUIET) as fleet:
        fleet.spawn(id="a", command=["sh", "-c", TALK])
        pid = fleet.wait_for(WorkerStarted, "a").pid

        said = callboard(tmp_path, "down", "--leave-workers", patience=60).stdout
        fleet.finish(0)

        assert "is gone, its workers go on" in said
        assert is_alive(pid)
        assert not (tmp_path / ".callboard" / "port.json").exists()
        assert not fleet.events(RunEnded)
        with up(tmp_path, *QUIET) as again:
            again.wait_for(WorkerAdopted, "a")
            assert is_alive(pid)
            assert "stops its workers" in callboard(tmp_path, "down", "--no-wait").stdout
            again.finish(0)
            assert not is_alive(pid)


def test_a_run_of_a_plan_can_be_left_where_all_of_it_is_durable_and_starts_never_anew(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "exec sleep 1000"), options=DURABLE) as run:
        pid = run.wait_for(WorkerStarted, "a").pid
        fleet = Up(tmp_path, run.process)

        refused = fleet.refused("shutdown", workers="leave", restart=True)
        fleet.done("shutdown", workers="leave", reason="the test")
        run.finish(0)

        assert "go on with: callboard resume" in refused
        assert is_alive(pid)
        assert f"left (the test), its workers go on; take it up with: callboard resume {run.fleet.name}" in run.stderr
        callboard(tmp_path, "stop")
        assert not is_alive(pid)


def test_workers_that_would_end_with_it_are_not_left(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "exec sleep 1000")) as run:
        run.wait_for(WorkerStarted, "a")

        refused = Up(tmp_path, run.process).refused("shutdown", workers="leave")

        assert "its workers are not durable" in refused
        run.signal(signal.SIGTERM)
        run.finish(130)


def test_in_the_background_it_is_ready_when_the_command_returns(tmp_path: Path) -> None:
    with detached(tmp_path) as pid:
        told = json.loads((tmp_path / ".callboard" / "port.json").read_text())
        waited = callboard(tmp_path, "up", "--wait").stdout
        second = callboard(tmp_path, "up", "--detach", code=2, patience=60)

        assert told["pid"] == pid
        assert os.getsid(pid) == pid
        assert f"pid {pid}" in waited
        assert f"callboard up runs here already, pid {pid}" in second.stderr
        assert (tmp_path / ".callboard" / "up.log").exists()
        os.kill(pid, signal.SIGHUP)
        callboard(tmp_path, "restart", patience=100)
        log = [json.loads(line) for line in (tmp_path / ".callboard" / "up.log").read_text().splitlines()]
        assert [line["event"] for line in log if line["event"].startswith("ready")] == [log_line(told)] * 2
        callboard(tmp_path, "down", patience=60)
        wait_until_gone(pid)


def log_line(told: dict[str, object]) -> str:
    return f"ready: run {told['run']}, pid {told['pid']}, {told['url']}"


def test_in_the_background_a_mistake_is_told_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "callboard.toml").write_text("[prot]\n")

    assert "prot: no such key" in callboard(tmp_path, "up", "--detach", code=2, patience=60).stderr


def test_where_nobody_starts_one_it_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    said = callboard(tmp_path, "up", "--wait", "--patience", "100ms", code=3).stderr

    assert "no supervisor is ready here after 0.1 s" in said
    assert "no supervisor runs here" in callboard(tmp_path, "down", code=3).stderr
    assert "no supervisor runs here" in callboard(tmp_path, "restart", code=3).stderr


def test_a_service_manager_is_told_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        with up(tmp_path, *QUIET, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as fleet:
            ready = manager.recv(1000).decode().splitlines()
            fleet.signal(signal.SIGTERM)
            stopping = manager.recv(1000)
            fleet.finish(0)

    assert ready[0] == "READY=1"
    assert fleet.folder.root.name in ready[1]
    assert stopping == b"STOPPING=1"


@contextmanager
def detached(folder: Path) -> Iterator[int]:
    """The pid of a supervisor in the background."""
    subprocess.run([CALLBOARD, "up", "--detach", *QUIET], cwd=folder, check=True, timeout=100, stdin=subprocess.DEVNULL)
    pid = int(json.loads((folder / ".callboard" / "port.json").read_text())["pid"])
    try:
        yield pid
    finally:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
