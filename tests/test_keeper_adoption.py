"""A keeper is killed: the next one takes its workers over, without a lost byte and with their true exit."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from actors.keeper_process.status import read_status
from tests.keeper_client import Client, KeeperProgram, Message, is_alive, running_keeper, wait_until_gone

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def as_subreaper() -> Iterator[None]:
    """Orphans of this process tree come to us meanwhile, as they come to a supervisor."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@pytest.fixture
def client(tmp_path: Path, as_subreaper: None) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as client:
        yield client


@pytest.fixture
def replace_keeper(client: Client) -> Iterator[Callable[[], Client]]:
    """Kill the keeper, start the next one on the same folder."""
    successors = []

    def replace() -> Client:
        client.keeper.process.kill()
        client.keeper.process.wait()
        successors.append(KeeperProgram(client.keeper.folder, client.keeper.fleet).connect(generation=2))
        return successors[-1]

    yield replace
    for successor in successors:
        successor.close()
        successor.keeper.close()


def adoption(spawn: Message, started: Message, **changes: object) -> Message:
    same = ("attempt", "stdout", "stderr", "status", "attached", "timeout", "grace", "linger")
    request = {name: spawn[name] for name in same}
    return {**request, "op": "adopt", "pid": started["pid"], "start_ticks": started["start_ticks"], **changes}


def reaped(request: Message, status: int, at: float = 1.5) -> Message:
    code = os.waitstatus_to_exitcode(status)
    word = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
    return {"op": "reaped", "attempt": request["attempt"], "at": at, **word}


def test_an_adopted_worker_loses_no_byte_and_keeps_its_exit(
    client: Client, replace_keeper: Callable[[], Client]
) -> None:
    script = "seq 1 200000; read line; exit 7"
    fifo = client.keeper.folder / "fifo"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    request = client.spawn_request("/bin/sh", "-c", script, stdin={"kind": "file", "text": str(fifo)})
    started = client.ask(request)

    second = replace_keeper()
    answer = second.ask(adoption(request, started), client.fds)
    second.wait_for_output(request["attempt"], b"\n200000\n")
    os.write(writer, b"go\n")
    _, status = os.waitpid(started["pid"], 0)
    second.ask(reaped(request, status))
    exited, ended = second.report("exited"), second.report("ended")

    assert (answer["pid"], answer["start_ticks"]) == (started["pid"], started["start_ticks"])
    assert (exited["code"], exited["at"]) == (7, 1.5)
    assert (ended["code"], ended["signal"], ended["reason"], ended["exited_at"]) == (7, None, "exit", 1.5)
    assert second.stdout(request["attempt"]) == "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert ended["stdout_bytes"] == len(second.stdout(request["attempt"]))
    found = read_status(request["status"])
    assert found is not None and (found.state, found.code) == ("ended", 7)
    os.close(writer)


def test_an_adopted_tree_is_stopped_with_what_left_its_group(
    client: Client, replace_keeper: Callable[[], Client]
) -> None:
    script = (
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo pid $$; while :; do sleep 0.01; done' & sleep 100; sleep 100"
    )
    request = client.spawn_request("/bin/sh", "-c", script)
    started = client.ask(request)
    daemon = int(client.wait_for_output(request["attempt"], b"\n").split()[1])

    second = replace_keeper()
    second.ask(adoption(request, started), client.fds)
    second.stop(request["attempt"], grace=0.05)
    _, status = os.waitpid(started["pid"], 0)
    second.ask(reaped(request, status))
    ended = second.report("ended")

    assert (ended["signal"], ended["reason"]) == ("SIGKILL", "stop")
    assert not is_alive(daemon)


def test_a_worker_that_ended_before_its_adoption_is_concluded(
    client: Client, replace_keeper: Callable[[], Client]
) -> None:
    request = client.spawn_request("/bin/sh", "-c", "echo ready; read line; echo last; exit 3", stdin={"kind": "pipe"})
    started = client.ask(request)
    client.wait_for_output(request["attempt"], b"ready")
    client.keeper.process.kill()
    client.keeper.process.wait()
    os.close(client.fds.pop())  # now its stdin ends, and it goes on
    _, status = os.waitpid(started["pid"], 0)

    second = replace_keeper()
    second.ask(adoption(request, started), client.fds)
    second.ask(reaped(request, status))
    ended = second.report("ended")

    assert (ended["code"], ended["stdout_bytes"]) == (3, len(b"ready\nlast\n"))
    assert second.stdout(request["attempt"]) == b"ready\nlast\n"


def test_an_adopted_worker_that_reads_from_us_gets_its_end_of_input_from_the_next_keeper(
    client: Client, replace_keeper: Callable[[], Client]
) -> None:
    request = client.spawn_request("/bin/sh", "-c", "echo ready; read line; exit 3", stdin={"kind": "pipe"})
    started = client.ask(request)
    client.wait_for_output(request["attempt"], b"ready")

    second = replace_keeper()
    second.ask({**adoption(request, started), "fds": 3}, client.fds)
    client.drop_fds()
    assert is_alive(started["pid"])
    second.ask({"op": "close_stdin", "attempt": request["attempt"]})
    _, status = os.waitpid(started["pid"], 0)
    second.ask(reaped(request, status))

    assert second.report("ended")["code"] == 3


def test_the_timeout_of_an_adopted_worker_goes_on(client: Client, replace_keeper: Callable[[], Client]) -> None:
    request = client.spawn_request("/bin/sleep", "100")
    started = client.ask(request)

    second = replace_keeper()
    second.ask(adoption(request, started, timeout=0.05), client.fds)
    assert second.report("stopping")["reason"] == "timeout"
    _, status = os.waitpid(started["pid"], 0)
    second.ask(reaped(request, status))
    ended = second.report("ended")

    assert (ended["reason"], ended["signal"]) == ("timeout", "SIGTERM")


def test_what_an_adopted_leader_leaves_behind_is_ended_and_listed(
    client: Client, replace_keeper: Callable[[], Client]
) -> None:
    request = client.spawn_request(
        "/bin/sh",
        "-c",
        "setsid sleep 1000 & until grep -q sleep /proc/$!/comm; do :; done; echo ready; read line",
        stdin={"kind": "pipe"},
        linger=0.05,
    )
    started = client.ask(request)
    client.wait_for_output(request["attempt"], b"ready")

    second = replace_keeper()
    os.close(client.fds.pop())  # its stdin ends
    second.ask(adoption(request, started), client.fds)
    _, status = os.waitpid(started["pid"], 0)
    second.ask(reaped(request, status))
    ended = second.report("ended")

    assert [name.split(" ", 1)[1] for name in ended["swept"]] == ["sleep 1000"]


def test_adoption_asked_again_gives_the_same_answer(client: Client, replace_keeper: Callable[[], Client]) -> None:
    request = client.spawn_request("/bin/sleep", "100")
    started = client.ask(request)

    second = replace_keeper()
    first = second.ask(adoption(request, started), client.fds)
    again = second.ask(adoption(request, started), client.fds)

    assert first == again
    os.kill(started["pid"], signal.SIGKILL)
    _, status = os.waitpid(started["pid"], 0)
    second.ask(reaped(request, status))
    assert second.report("ended")["signal"] == "SIGKILL"


def test_adoption_without_descriptors_is_refused(client: Client) -> None:
    request = client.spawn_request("/bin/sleep", "100")

    error = client.refusal(adoption(request, {"pid": os.getpid(), "start_ticks": 1}))

    assert error["code"] == "bad-request"


def test_an_adopted_attached_worker_goes_with_its_supervisor(client: Client) -> None:
    sleeper = subprocess.Popen(["/bin/sleep", "100"], start_new_session=True)
    request = client.spawn_request("/bin/sleep")
    ticks = int(Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19])
    ends = [os.pipe(), os.pipe()]
    client.ask(adoption(request, {"pid": sleeper.pid, "start_ticks": ticks}), [reader for reader, _ in ends])
    for pair in ends:
        for fd in pair:
            os.close(fd)

    client.close()
    wait_until_gone(sleeper.pid)

    assert sleeper.wait() == -signal.SIGTERM
