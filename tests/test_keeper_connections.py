"""Who may control the keeper, and that no message ends it."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.keeper_client import Client, KeeperProgram, Message, running_keeper


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as client:
        yield client


def hello(client: Client, **changes: object) -> Message:
    return {"op": "hello", "versions": [1], "fleet": client.keeper.fleet, "generation": 2, **changes}


def test_a_supervisor_is_welcomed_with_what_the_keeper_knows(client: Client) -> None:
    request = client.spawn_request("/bin/sleep", "100", attached=False)
    started = client.ask(request)

    welcome = client.ask(hello(client))

    assert welcome["version"] == 1
    assert welcome["pid"] == client.keeper.process.pid
    assert welcome["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert welcome["pid_namespace"] == Path("/proc/self/ns/pid").stat().st_ino
    known = {"attempt": request["attempt"], "pid": started["pid"], "start_ticks": started["start_ticks"]}
    assert welcome["attempts"] == [{**known, "state": "running"}]
    client.ask({"op": "shutdown"})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"versions": [4, 5]}, "version"),
        ({"versions": []}, "version"),
        ({"fleet": "another"}, "bad-request"),
        ({"generation": 1}, "stale-generation"),
        ({"generation": 0}, "stale-generation"),
        ({"generation": -1}, "bad-request"),
        ({"generation": "3"}, "bad-request"),
        ({"versions": 1}, "bad-request"),
    ],
)
def test_a_hello_that_does_not_fit_is_refused_and_changes_nothing(client: Client, changes: Message, code: str) -> None:
    second = Client(client.keeper)

    assert second.refusal(hello(client, **changes))["code"] == code
    assert second.refusal({"op": "shutdown"})["code"] == "bad-request"

    second.close()
    assert client.report("ended", client.shell("exit 0"))["code"] == 0


def test_the_highest_version_in_common_is_spoken(client: Client) -> None:
    assert client.ask(hello(client, versions=[0, 1, 2, 3, 4]))["version"] == 3


def test_a_higher_generation_takes_over_and_cuts_the_older_connection(client: Client) -> None:
    attempt = client.shell("echo ready; read line", stdin={"kind": "pipe"})
    client.wait_for_output(attempt, b"ready")

    second = client.keeper.connect(generation=2)
    client.read_to_the_end()
    second.ask({"op": "close_stdin", "attempt": attempt})

    assert second.report("ended", attempt)["reason"] == "exit"
    second.close()


def test_a_generation_that_is_gone_does_not_come_back(client: Client) -> None:
    attempt = client.shell("exec sleep 100", attached=False)
    client.close()
    second = Client(client.keeper)

    assert second.refusal(hello(client, generation=1))["code"] == "stale-generation"
    second.ask(hello(client, generation=2))

    second.stop(attempt)
    second.report("ended", attempt)
    second.close()


def test_a_worker_in_which_others_live_ends_after_them(client: Client) -> None:
    host = client.shell("exec sleep 100", host=True)
    guest = client.shell("trap 'sleep 0.2; exit 4' TERM; echo ready; while :; do sleep 0.01; done")
    stays = client.shell("exec sleep 100", attached=False)
    client.wait_for_output(guest, b"ready")
    client.close()

    second = client.keeper.connect(generation=2)
    ended = {name: second.report("ended", name) for name in (guest, host)}

    assert (ended[guest]["code"], ended[host]["signal"]) == (4, "SIGTERM")
    assert ended[host]["reason"] == ended[guest]["reason"] == "orphaned"
    assert ended[host]["at"] > ended[guest]["at"]
    second.stop(stays)
    second.report("ended", stays)
    second.close()


def test_a_durable_worker_stays_and_its_end_is_told_to_the_next_supervisor(client: Client) -> None:
    gone = client.shell("exit 3", attached=False)
    client.report("ended", gone)
    attempt = client.shell("echo ready; sleep 0.05; echo more; exit 6", attached=False)
    stays = client.shell("exec sleep 100", attached=False)
    client.wait_for_output(attempt, b"ready")
    client.close()
    client.wait_for_output(attempt, b"more")

    second = client.keeper.connect(generation=2)
    ended = second.report("ended", attempt)

    assert (ended["code"], ended["reason"], ended["stdout_bytes"]) == (6, "exit", len(b"ready\nmore\n"))
    assert second.report("exited", gone)["code"] == second.report("ended", gone)["code"] == 3
    assert second.report("exited", attempt)["code"] == 6
    second.stop(stays)
    second.report("ended", stays)
    for name in (gone, attempt, stays):
        second.ask({"op": "forget", "attempt": name})
    third = client.keeper.connect(generation=3)
    assert third.ask(hello(client, generation=4))["attempts"] == []
    assert third.reports == []
    second.close()
    third.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"op": "fly"},
        {"op": None},
        {"op": ["spawn"]},
        {"attempt": ""},
        {"attempt": "../x"},
        {"attempt": "x" * 65},
        {"attempt": 1},
        {"executable": None},
        {"executable": "/bin/\0true"},
        {"executable": "/bin/\u20ac"},
        {"argv": []},
        {"argv": "true"},
        {"argv": [1]},
        {"argv": ["a\0b"]},
        {"cwd": "relative"},
        {"env": ["NAME"]},
        {"env": ["=value"]},
        {"env": ["A=1", "A=2"]},
        {"env": {"A": "1"}},
        {"stdin": None},
        {"stdin": {"kind": "pty"}},
        {"stdin": {"kind": "text", "text": "\u20ac"}},
        {"stdin": {"kind": "file"}},
        {"stdout": ""},
        {"status": 1},
        {"attached": "yes"},
        {"timeout": -1},
        {"timeout": "10"},
        {"timeout": float("nan")},
        {"grace": None},
        {"grace": float("inf")},
        {"linger": True},
    ],
)
def test_a_request_with_a_bad_field_is_refused_and_the_connection_lives(client: Client, changes: Message) -> None:
    error = client.refusal({**client.spawn_request("/bin/true"), **changes})

    assert error["code"] == "bad-request"
    assert error["message"]
    assert client.report("ended", client.shell("exit 0"))["code"] == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\xff\xfe\n",
        b"null\n[]\n1\n",
        b"[" * 100_000 + b"\n",
        b"9" * 10_000 + b"\n",
        b'{"op": "stop"}\n{"id": true, "op": "stop"}\n{"id": "x"}\n{"id": -5, "op": "fly"}\n',
        b'"' + b"x" * 3_000_000 + b'"\n',
    ],
)
def test_garbage_is_passed_over(client: Client, garbage: bytes) -> None:
    client.socket.sendall(garbage)

    assert client.report("ended", client.shell("exit 0"))["code"] == 0


def test_a_line_without_end_is_cut(client: Client) -> None:
    stranger = Client(client.keeper)

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        stranger.socket.sendall(b"x" * 10_000_000)

    stranger.close()
    assert client.report("ended", client.shell("exit 0"))["code"] == 0


def test_messages_may_come_in_any_pieces(client: Client) -> None:
    requests = [{**client.spawn_request("/bin/echo", "x" * 100), "id": 1000 + number} for number in range(3)]
    data = b"".join(json.dumps(request).encode() + b"\n" for request in requests)

    for start in range(0, len(data), 97):
        client.socket.sendall(data[start : start + 97])

    assert [client.reply_to(request["id"])["re"] for request in requests] == [1000, 1001, 1002]


def test_a_request_without_a_number_gets_no_reply(client: Client) -> None:
    request = client.spawn_request("/bin/true")

    client.post({**request, "id": 0})
    client.post({"id": 0, "op": "forget", "attempt": "unknown"})
    client.report("ended", request["attempt"])

    assert client.replies == {}
    assert client.fds == []


@pytest.mark.parametrize("op", ["stop", "close_stdin", "forget", "reaped"])
def test_an_unknown_attempt_is_said_to_be_unknown(client: Client, op: str) -> None:
    request = {"op": op, "attempt": "nobody", "grace": 0, "reason": "stop", "at": 0, "code": None, "signal": None}

    assert client.refusal(request)["code"] == "unknown-attempt"


def test_descriptors_that_nobody_asked_for_are_closed(client: Client) -> None:
    folder = Path(f"/proc/{client.keeper.process.pid}/fd")
    client.ask({"op": "close_stdin", "attempt": client.shell("exit 0")})
    client.report("ended")
    before = len(list(folder.iterdir()))

    for _ in range(3):
        with pytest.raises(AssertionError, match="unknown-attempt"):
            client.ask({"op": "forget", "attempt": "nobody"}, fds=[0, 0, 0])
        with pytest.raises(AssertionError, match="bad-request"):
            client.ask({"op": "fly", "fds": 2}, fds=[0, 0])
    client.refusal({"op": "fly"})  # descriptors are closed after the reply

    assert len(list(folder.iterdir())) == before


def test_no_descriptor_is_left_of_what_was_forgotten(client: Client) -> None:
    folder = Path(f"/proc/{client.keeper.process.pid}/fd")
    before = len(list(folder.iterdir()))

    for number in range(20):
        attempt = client.shell(f"exit {number}", stdin={"kind": ["none", "pipe", "text"][number % 3]})
        client.report("ended", attempt)
        client.ask({"op": "forget", "attempt": attempt})
        client.refusal(client.spawn_request("/none", stdin={"kind": "pipe"}))

    assert len(list(folder.iterdir())) == before


def test_a_supervisor_that_does_not_read_holds_up_nobody(client: Client) -> None:
    attempt = client.shell("read line; echo done", stdin={"kind": "pipe"}, attached=False)
    for _ in range(20_000):
        client.post({"op": "forget", "attempt": "nobody"})
    client.post({"op": "close_stdin", "attempt": attempt})

    client.wait_for_output(attempt, b"done")

    assert client.report("ended", attempt)["code"] == 0
    assert len(client.replies) == 20_001


def test_many_connections_that_say_nothing_leave_room_for_one_that_does(client: Client) -> None:
    silent = [Client(client.keeper) for _ in range(40)]

    second = client.keeper.connect(generation=2)

    assert second.report("ended", second.shell("exit 0"))["code"] == 0
    for stranger in [*silent, second]:
        stranger.close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_another_user_is_turned_away(client: Client) -> None:
    client.keeper.folder.chmod(0o777)
    client.keeper.socket_path.chmod(0o777)

    child = os.fork()
    if child == 0:  # what stands above the folder is not for that user: enter it first
        with suppress(OSError):
            os.chdir(client.keeper.folder)
            os.setgid(65534)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.settimeout(5)
                stranger.connect("keeper.sock")
                os._exit(77 if stranger.recv(9) == b"" else 1)
        os._exit(2)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 77


def test_a_keeper_waits_for_the_lock_of_the_one_before_and_holds_it(client: Client) -> None:
    socket_file = client.keeper.socket_path
    lock = client.keeper.folder / "keeper.lock"
    first_pid = lock.read_text()
    successor = KeeperProgram(client.keeper.folder, client.keeper.fleet)

    client.ask({"op": "shutdown"})
    client.keeper.wait()
    second = successor.connect(generation=1)

    assert first_pid == f"{client.keeper.process.pid}\n"
    assert lock.read_text() == f"{successor.process.pid}\n"
    assert socket_file.exists(), "the first keeper removed a socket that was not its own"
    second.close()
    successor.close()
    assert not socket_file.exists()


def test_signals_of_the_terminal_and_term_change_nothing(client: Client) -> None:
    attempt = client.shell("echo ready; read line", stdin={"kind": "pipe"})
    client.wait_for_output(attempt, b"ready")

    for signo in ("INT", "HUP", "PIPE", "TSTP", "TTIN", "TTOU", "TERM"):
        subprocess.run(["kill", f"-{signo}", str(client.keeper.process.pid)], check=True)
    client.ask({"op": "close_stdin", "attempt": attempt})

    assert client.report("ended", attempt)["reason"] == "exit"


def test_a_keeper_without_workers_ends_with_its_supervisor(client: Client) -> None:
    client.report("ended", client.shell("exit 0"))

    client.socket.shutdown(socket.SHUT_RDWR)

    assert client.keeper.wait() == 0
    assert not client.keeper.socket_path.exists()


@pytest.mark.soak
def test_a_keeper_to_which_nobody_comes_ends(tmp_path: Path) -> None:
    keeper = KeeperProgram(tmp_path / "fleet")

    assert keeper.wait() == 0
    assert not keeper.socket_path.exists()


@pytest.mark.soak
def test_a_second_keeper_of_a_folder_says_so_and_leaves(client: Client) -> None:
    second = KeeperProgram(client.keeper.folder, client.keeper.fleet)

    assert second.wait() == 1
    assert "another keeper holds it" in second.log
