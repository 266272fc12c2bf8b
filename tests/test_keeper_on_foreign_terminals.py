"""The keeper's workers on terminals that somebody else made and reads: there is no spool, else all is the same."""

import os
import subprocess
import sys
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from actors.keeper_process.procfs import read_process
from actors.keeper_process.status import read_status
from actors.keeper_process.terminal import name_of
from tests.keeper_client import Client, is_alive, running_keeper
from tests.test_keeper_on_terminals import CONTROLLED


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as client:
        yield client


@pytest.fixture
def terminal() -> Iterator[int]:
    """The master; the slave is held, so that the terminal outlives its worker."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master
    os.close(slave)
    os.close(master)


def _start(client: Client, terminal: int, *argv: str, **changes: object) -> str:
    request = client.spawn_request(*argv, tty=name_of(terminal), **changes)
    del request["stdout"], request["stderr"]
    client.ask(request)
    return str(request["attempt"])


def _read(terminal: int, text: bytes) -> bytes:
    data = b""
    while text not in data:
        data += os.read(terminal, 4096)
    return data


def test_the_worker_is_controlled_by_that_terminal_and_its_exit_is_told(client: Client, terminal: int) -> None:
    attempt = _start(client, terminal, sys.executable, "-I", "-S", "-c", CONTROLLED + "\nos._exit(7)")

    assert _read(terminal, b"controlled") == b"controlled"
    ended = client.report("ended", attempt)
    assert (ended["code"], ended["reason"], ended["terminal_bytes"]) == (7, "exit", 0)
    status = read_status(client.keeper.folder / f"{attempt}.status")
    assert status is not None
    assert (status.code, status.terminal_bytes, status.stdout_bytes) == (7, None, None)


def test_a_text_for_stdin_is_redirected(client: Client, terminal: int) -> None:
    stdin = {"kind": "text", "text": "typed"}

    attempt = _start(client, terminal, "/bin/sh", "-c", "cat; test -t 1 && echo ' on it'", stdin=stdin)

    assert _read(terminal, b"on it") == b"typed on it\n"
    client.report("ended", attempt)


def test_who_only_holds_the_terminal_belongs_to_its_worker(client: Client, terminal: int) -> None:
    script = "trap '' HUP; env -i setsid sh -c 'trap \"\" HUP TERM; echo $$; while :; do sleep 1; done' & sleep 0.1"

    attempt = _start(client, terminal, "/bin/sh", "-c", script)
    pid = int(_read(terminal, b"\n"))

    swept = cast("list[str]", client.report("ended", attempt)["swept"])
    assert str(pid) in [each.partition(" ")[0] for each in swept]
    assert not is_alive(pid)


def test_a_stop_ends_it(client: Client, terminal: int) -> None:
    attempt = _start(client, terminal, "/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
    _read(terminal, b"up")

    client.stop(attempt, 0.05)

    ended = client.report("ended", attempt)
    assert (ended["signal"], ended["reason"]) == ("SIGKILL", "stop")


def test_a_keeper_takes_it_over_from_another_one_without_descriptors(client: Client, terminal: int) -> None:
    request = client.spawn_request("/bin/true", tty=name_of(terminal))
    for name in ("stdout", "stderr", "executable", "argv", "cwd", "env", "stdin"):
        del request[name]

    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as worker:
        process = read_process(worker.pid)
        assert process is not None
        ours = {"op": "adopt", "pid": process.pid, "start_ticks": process.start_ticks, "fds": 0}
        assert client.ask({**request, **ours})["pid"] == worker.pid
        worker.kill()
        worker.wait()
    client.post({"op": "reaped", "attempt": request["attempt"], "code": None, "signal": 9, "at": 1.0})

    assert client.report("ended", str(request["attempt"]))["signal"] == "SIGKILL"
