import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from actors.keeper_process.procfs import read_process
from protocols.ids import FleetId
from supervisor import leftovers
from supervisor.leftovers import end_keeper, end_leftovers
from supervisor.locks import is_locked

FLEET = FleetId(uuid.uuid4().hex)
IGNORE_TERM = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
HOLD = """
import sys, time
from pathlib import Path
from supervisor.locks import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""

CHAIN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
for _ in range(100_000):
    if os.fork():
        os._exit(0)
    time.sleep(float(sys.argv[1]))
"""


class Start(Protocol):
    def __call__(self, *command: str, mark: str = ..., session: bool = ...) -> subprocess.Popen[str]: ...


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_GRACE", 0.05)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a command; it is over when the test is, whatever the test did."""

    def start(*command: str, mark: str = f"{FLEET}/1", session: bool = False) -> subprocess.Popen[str]:
        env = {**os.environ, "CALLBOARD_MARK": mark}
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=session)
        ends.callback(process.communicate)
        ends.callback(process.kill)
        await_command(process.pid)
        return process

    with ExitStack() as ends:
        yield start


def await_command(pid: int) -> None:
    """The command line appears a moment after the program has begun."""
    while not Path(f"/proc/{pid}/cmdline").read_bytes():
        process = read_process(pid)
        if process is None or not process.alive:  # that one is over already
            return


def await_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def key_of(pid: int) -> tuple[int, int]:
    process = read_process(pid)
    assert process is not None
    return pid, process.start_ticks


def test_where_nothing_was_left_nothing_is_ended() -> None:
    assert end_leftovers(FLEET, []) == ((), True)


def test_a_marked_process_is_asked_to_end(start: Start) -> None:
    process = start("sleep", "60")

    assert end_leftovers(FLEET, []) == ((f"{process.pid} sleep 60",), True)
    assert process.wait() == -signal.SIGTERM


def test_a_process_that_ignores_the_request_is_killed(start: Start) -> None:
    process = start("sh", "-c", IGNORE_TERM)
    await_line(process)

    _, clean = end_leftovers(FLEET, [])

    assert clean
    assert process.wait() == -signal.SIGKILL


def test_a_stopped_process_ends_too(start: Start) -> None:
    process = start("sleep", "60")
    process.send_signal(signal.SIGSTOP)

    assert end_leftovers(FLEET, [])[1]
    assert process.wait() == -signal.SIGTERM


def test_daemons_in_sessions_of_their_own_are_found(start: Start) -> None:
    process = start("sh", "-c", "(setsid sh -c 'sleep 60 & echo $!') ; exit")
    pid = int(await_line(process))

    swept, clean = end_leftovers(FLEET, [])

    assert clean
    assert pid in [int(each.split()[0]) for each in swept]
    left = read_process(pid)
    assert left is None or not left.alive


def test_what_hid_its_mark_is_found_by_descent(start: Start) -> None:
    process = start("sh", "-c", "env -i setsid sh -c 'echo $$; sleep 60; :' & wait")
    hidden = int(await_line(process))

    swept, clean = end_leftovers(FLEET, [])

    assert clean
    assert hidden in [int(each.split()[0]) for each in swept]


def test_a_recorded_leader_is_found_without_any_mark(start: Start) -> None:
    process = start("sleep", "60", mark="")

    assert end_leftovers(FLEET, [key_of(process.pid)]) == ((f"{process.pid} sleep 60",), True)


def test_whoever_got_the_pid_of_a_leader_is_left_alone(start: Start) -> None:
    process = start("sleep", "60", mark="")
    pid, start_ticks = key_of(process.pid)

    assert end_leftovers(FLEET, [(pid, start_ticks - 1)]) == ((), True)
    assert process.poll() is None


def test_other_fleets_are_left_alone(start: Start) -> None:
    process = start("sleep", "60", mark=f"{uuid.uuid4().hex}/1")

    assert end_leftovers(FLEET, []) == ((), True)
    assert process.poll() is None


def test_a_fleet_inside_a_worker_of_another_is_found(start: Start) -> None:
    process = start("sleep", "60", mark=f"{uuid.uuid4().hex}/1:{FLEET}/2")

    assert end_leftovers(FLEET, []) == ((f"{process.pid} sleep 60",), True)


@pytest.mark.parametrize("life", [0.0, 0.003, 0.02])
def test_a_chain_of_forks_cannot_run_away(start: Start, life: float) -> None:
    process = start(sys.executable, "-c", CHAIN, str(life))
    await_line(process)

    _, clean = end_leftovers(FLEET, [])

    assert clean
    assert await_line(process) == ""  # the last of the chain has let go of the pipe


def test_what_cannot_be_ended_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_DEADLINE", 0.1)
    monkeypatch.setattr(leftovers, "_GRACE", 60.0)
    process = start("sh", "-c", IGNORE_TERM)
    await_line(process)

    swept, clean = end_leftovers(FLEET, [])

    assert not clean
    assert swept[0].startswith(f"{process.pid} sh -c trap")


def test_the_keeper_that_holds_the_lock_is_killed(start: Start, tmp_path: Path) -> None:
    lock = tmp_path / "keeper.lock"
    keeper = start(sys.executable, "-c", HOLD, str(lock), mark="")
    await_line(keeper)

    assert end_keeper(lock)
    assert keeper.wait() == -signal.SIGKILL
    assert not is_locked(lock)


def test_a_process_that_only_has_the_pid_of_a_keeper_is_left_alone(start: Start, tmp_path: Path) -> None:
    lock = tmp_path / "keeper.lock"
    keeper = start(sys.executable, "-c", HOLD, str(lock), mark="")
    await_line(keeper)
    stranger = start("sleep", "60", mark="")
    lock.write_text(f"{stranger.pid}\n")

    assert not end_keeper(lock)
    assert keeper.poll() is None and stranger.poll() is None


@pytest.mark.parametrize("text", ["", "1\n", "none"])
def test_a_lock_that_nobody_holds_ends_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "keeper.lock").write_text(text)

    assert not end_keeper(tmp_path / "keeper.lock")
