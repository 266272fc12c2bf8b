"""The socket of a run: whoever knocks, in whatever way, the run goes on; who asks properly is answered."""

import json
import os
import select
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.unix_socket import connect_unix
from protocols.events import RunStopping, WorkerExited, WorkerStarted, WorkerStopping
from tests.keeper_client import DEADLINE
from tests.running import SHORT, RunningPlan, callboard, python, running, task

_UP = "import os, time; os.write(1, b'up\\n')\n"
_SLEEP = python("a", f"{_UP}time.sleep(1000)")
_STUBBORN = python("a", f"import signal; signal.signal(15, signal.SIG_IGN)\n{_UP}time.sleep(1000)")


@contextmanager
def _up(folder: Path, *plan: str, settings: str = SHORT) -> Iterator[RunningPlan]:
    """A run whose task ``a`` has said that it is up, and whose socket is there."""
    with running(folder, *(plan or (_SLEEP,)), settings=settings) as run:
        run.wait_for_output("a", b"up\n")
        yield run


@contextmanager
def _client(run: RunningPlan) -> Iterator[socket.socket]:
    with closing(connect_unix(run.folder.control_socket)) as client:
        client.settimeout(DEADLINE)
        yield client


def _ask(client: socket.socket, line: bytes) -> Any:
    client.sendall(line + b"\n")
    return _answer(client)


def _answer(client: socket.socket) -> Any:
    answer = b""
    while not answer.endswith(b"\n"):
        data = client.recv(65536)
        assert data, f"the connection was closed after {answer!r}"
        answer += data
    return json.loads(answer)


def _request(method: str, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()


def test_status_tells_how_each_task_stands(tmp_path: Path) -> None:
    with _up(tmp_path, _SLEEP, task("b", "echo hello; exit 4"), task("c", "true", needs=["a"])) as run:
        run.wait_for(WorkerExited, "b")
        pid = run.wait_for(WorkerStarted, "a").pid

        status = json.loads(callboard(tmp_path, "status", "--json").stdout)
        text = callboard(tmp_path, "status", run.fleet.name[:3]).stdout

        tasks = {each["task"]: each for each in status["tasks"]}
        assert (status["run"], status["pid"], status["outcome"]) == (run.fleet.name, run.process.pid, "")
        assert [tasks[name]["status"] for name in "abc"] == ["running", "failed", "pending"]
        assert (tasks["a"]["pid"], tasks["a"]["stdout_bytes"]) == (pid, 3)
        assert (tasks["b"]["pid"], tasks["b"]["reason"], tasks["b"]["stdout_bytes"]) == (None, "exit code 4", 6)
        assert "running" in text and str(pid) in text and "exit code 4" in text


def test_stop_waits_for_the_end_of_the_run(tmp_path: Path) -> None:
    with _up(tmp_path) as run:
        said = callboard(tmp_path, "stop").stdout

        assert said == f"run {run.fleet.name} has ended\n"
        assert run.process.poll() == 130
        assert run.task("a").status == "stopped"
        assert [event.reason for event in run.events(RunStopping)] == ["callboard stop"]


def test_a_forced_stop_kills_at_once(tmp_path: Path) -> None:
    with _up(tmp_path, _STUBBORN, settings='[stop]\ngrace = "1h"\n') as run:
        callboard(tmp_path, "stop", run.fleet.name[:2], "--force")

        run.finish(130)
        assert run.attempt("a").signal == "SIGKILL"
        assert [event.grace for event in run.events(RunStopping)] == [0.0]


def test_a_stop_that_takes_long_can_be_hurried(tmp_path: Path) -> None:
    with _up(tmp_path, _STUBBORN, settings='[stop]\ngrace = "1h"\n') as run:
        said = callboard(tmp_path, "stop", "--no-wait").stdout
        stands = callboard(tmp_path, "status").stdout
        callboard(tmp_path, "stop", "--grace", "20ms")

        assert said == f"run {run.fleet.name} is stopping (KILL after 1h)\n"
        assert "stopping (callboard stop)" in stands
        run.finish(130)
        assert [event.grace for event in run.events(WorkerStopping, "a")] == [3600.0, 0.02]


def test_a_run_that_has_ended_or_never_was_is_named(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "true")) as run:
        run.finish()
        name = run.fleet.name

        assert callboard(tmp_path, "stop").stdout == f"run {name} is not running\n"
        assert json.loads(callboard(tmp_path, "status", "--json").stdout)["outcome"] == "succeeded"
        for command in ("status", "stop"):
            assert f'run "nosuch": there is none in {tmp_path}' in callboard(tmp_path, command, "nosuch", code=2).stderr


def test_a_status_asked_from_the_first_moment_on_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, _SLEEP) as run:
        while not run.fleet.is_alive():
            pass

        assert json.loads(callboard(tmp_path, "status", "--json").stdout)["outcome"] == ""


def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    with _up(tmp_path) as run:
        mode = run.folder.control_socket.stat().st_mode

        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


def test_a_folder_with_a_path_longer_than_an_address_can_be(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["x" * 50] * 4)
    deep.mkdir(parents=True)
    with _up(deep) as run:
        assert len(os.fsencode(run.folder.control_socket)) > 200

        assert "running" in callboard(deep, "status").stdout
        callboard(deep, "stop")

        run.finish(130)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe\x00", -32700),
        (b"[" * 50_000, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": ' + b"[" * 50_000, -32700),
        (b"[]", -32600),
        (b"null", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "status"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "more": 1}', -32600),
        (_request("restart"), -32601),
        (_request("status", verbose=True), -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": [1, 2]}', -32602),
        (_request("stop", grace=-1), -32602),
        (_request("stop", grace="1s"), -32602),
        (_request("stop", now=True), -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "stop", "params": {"reason": "\xff"}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "stop", "params": {"reason": "\\ud800"}}', -32700),
    ],
)
def test_a_request_that_is_none_is_answered_with_an_error_and_changes_nothing(
    up: RunningPlan, line: bytes, code: int
) -> None:
    with _client(up) as client:
        assert _ask(client, line)["error"]["code"] == code

        assert _ask(client, _request("status"))["result"]["stopping"] == ""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlan]:
    """One run for all those who do it no harm."""
    with _up(tmp_path_factory.mktemp("up")) as run:
        yield run


def test_requests_may_come_in_any_pieces_and_are_answered_in_order(up: RunningPlan) -> None:
    with _client(up) as client:
        whole = _request("status") + b"\n" + _request("nothing") + b"\n"
        for byte in range(len(whole)):
            client.sendall(whole[byte : byte + 1])

        first, second = _answer_lines(client, 2)
        assert set(first) == {"jsonrpc", "id", "result"}
        assert set(second) == {"jsonrpc", "id", "error"}


def _answer_lines(client: socket.socket, count: int) -> list[Any]:
    data = b""
    while data.count(b"\n") < count:
        data += client.recv(65536)
    return [json.loads(line) for line in data.splitlines()]


def test_a_notification_gets_no_answer(up: RunningPlan) -> None:
    with _client(up) as client:
        client.sendall(b'{"jsonrpc": "2.0", "method": "status"}\n{"jsonrpc": "2.0", "method": "nothing"}\n')

        assert _ask(client, _request("status"))["id"] == 7


def test_a_megabyte_without_a_line_end_is_refused(up: RunningPlan) -> None:
    with _client(up) as client:
        try:
            client.sendall(b"x" * 2**20)
        except (BrokenPipeError, ConnectionResetError):
            return  # it did not even listen to the end
        assert _answer(client)["error"]["code"] == -32600
        assert client.recv(1) == b""


def test_clients_that_vanish_at_any_moment_disturb_nobody(up: RunningPlan) -> None:
    for sent in (b"", b"{", _request("status"), _request("status") + b"\n", (_request("status") + b"\n") * 200):
        for _ in range(3):
            with _client(up) as client:
                client.sendall(sent)

    with _client(up) as client:
        assert _ask(client, _request("status"))["result"]["outcome"] == ""


def test_a_hundred_clients_that_say_nothing_leave_room_for_one_that_asks(up: RunningPlan) -> None:
    silent = [connect_unix(up.folder.control_socket) for _ in range(100)]
    try:
        with _client(up) as client:
            assert _ask(client, _request("status"))["result"]["outcome"] == ""
        assert "running" in callboard(up.cwd, "status").stdout
    finally:
        for each in silent:
            each.close()


def test_a_client_that_asks_and_never_reads_slows_nobody(up: RunningPlan) -> None:
    with _client(up) as rude:
        rude.setblocking(False)
        try:
            while True:
                rude.send((_request("status") + b"\n") * 100)
        except BlockingIOError:
            pass

        with _client(up) as client:
            assert _ask(client, _request("status"))["result"]["outcome"] == ""


def test_who_asked_for_a_stop_is_told_of_the_end_by_the_end_of_the_connection(tmp_path: Path) -> None:
    with _up(tmp_path) as run, _client(run) as client:
        assert _ask(client, _request("stop", reason="\x1b[31mred\u202e", grace=1e300))["result"]["grace"] == 1e300

        ready, _, _ = select.select([client], [], [], DEADLINE)
        assert ready and client.recv(1) == b""
        run.finish(130)
        assert b"\x1b" not in run.stdout and "\u202e".encode() not in run.stdout


def test_without_descriptors_left_the_port_waits_and_the_run_goes_on(tmp_path: Path) -> None:
    """Callboard takes all that the hard limit allows; connections that nobody can accept wait for their turn."""
    with running(tmp_path, _SLEEP, settings=SHORT, prepare=_few_descriptors) as run:
        run.wait_for_output("a", b"up\n")
        crowd = [connect_unix(run.folder.control_socket) for _ in range(60)]
        for each in crowd:
            each.close()

        assert "running" in callboard(tmp_path, "status").stdout
        callboard(tmp_path, "stop")
        run.finish(130)
        assert "actor.failed" not in callboard(tmp_path, "events", "--json").stdout


def _few_descriptors() -> None:
    import resource  # noqa: PLC0415 - runs in the child

    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))


def test_who_follows_gets_every_record_behind_a_number_as_it_comes(tmp_path: Path) -> None:
    with _up(tmp_path) as run, _client(run) as client, client.makefile("rb") as lines:
        client.sendall(_request("follow", after=2) + b"\n")
        assert json.loads(next(lines))["result"] == {"after": 2}
        callboard(tmp_path, "stop", "--no-wait")
        told = [json.loads(line) for line in lines]
        run.finish(130)

        assert {each["method"] for each in told} == {"record"}
        lines_there = callboard(tmp_path, "events", "--json", "--after", "2").stdout.splitlines()
        records = [json.loads(line) for line in lines_there]
        assert [each["params"] for each in told] == records[: len(told)]
        assert any(each["params"]["type"] == "run.stopping" for each in told)


@pytest.mark.parametrize(
    ("method", "params", "why"),
    [
        ("follow", {"after": -1}, "follow: Expected `int` >= 0 - at `$.after`"),
        ("hello", {"token": "x"}, "hello: Object missing required field `run`"),
        ("hello", {"token": "x", "run": "../../.."}, "hello: Expected `str` matching regex"),
        ("hello", {"token": "x", "run": "a" * 8}, "this run has no instances"),
    ],
)
def test_what_no_instance_says_is_refused(tmp_path: Path, method: str, params: dict[str, object], why: str) -> None:
    with _up(tmp_path) as run, _client(run) as client:
        assert _ask(client, _request(method, **params))["error"]["message"].startswith(why)
