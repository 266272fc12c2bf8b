"""The keeper reaches living workers: what it writes is read, what nobody reads is told, an interrupt arrives."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper_client import Client, Message, running_keeper, wait_until_gone
from tests.require import needs

TELLS = """
import os, signal
def tell(*_): os.write(1, b"interrupted")
signal.signal(signal.SIGINT, tell)
os.write(1, b"ready")
while True: signal.pause()
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as client:
        yield client


def on_terminal(client: Client, *argv: str) -> str:
    request = client.terminal_request(*argv)
    client.ask(request)
    client.drop_fds()
    return str(request["attempt"])


def write(attempt: str, data: str) -> Message:
    return {"op": "write", "attempt": attempt, "data": data}


def test_what_is_written_is_read_from_stdin(client: Client) -> None:
    attempt = client.spawn("/bin/cat", stdin={"kind": "pipe"})

    answer = client.ask(write(attempt, "go on \xff\n"))

    assert answer == {"written": 8}
    client.wait_for_output(attempt, b"go on \xff\n")


def test_what_is_typed_is_read_from_the_terminal(client: Client) -> None:
    needs("bash", "install bash")
    attempt = on_terminal(client, "/bin/bash", "-c", 'read -p "Sure? " answer; echo "it is <$answer>"')
    client.wait_for_output(attempt, b"Sure? ")

    client.ask(write(attempt, "yes"))
    client.ask(write(attempt, "\r"))

    client.wait_for_output(attempt, b"it is <yes>")


@pytest.mark.parametrize("source", ["pipe", "terminal"])
def test_a_worker_that_reads_nothing_holds_up_nobody(client: Client, source: str) -> None:
    sleeper = ("/bin/sleep", "1000")
    attempt = on_terminal(client, *sleeper) if source == "terminal" else client.spawn(*sleeper, stdin={"kind": "pipe"})
    taken = 0
    while "error" not in (reply := client.reply_to(client.post(write(attempt, "x" * 4000 + "\n")))):
        taken += reply["ok"]["written"]
        assert taken < 10_000_000

    assert taken > 0
    assert reply["error"]["code"] == "EAGAIN"
    assert "it reads nothing" in reply["error"]["message"]
    client.ask({"op": "ping"})


def test_how_much_of_its_stdin_a_worker_has_not_read_is_told(client: Client) -> None:
    sleeper = client.spawn("/bin/sleep", "1000", stdin={"kind": "pipe"})
    reader = client.spawn("/bin/cat", stdin={"kind": "pipe"})
    for attempt in (sleeper, reader):
        client.ask(write(attempt, "go on\n"))
    client.wait_for_output(reader, b"go on\n")

    assert client.ask({"op": "unread", "attempt": sleeper}) == {"unread": 6}
    assert client.ask({"op": "unread", "attempt": reader}) == {"unread": 0}


def test_who_has_no_pipe_has_nothing_unread(client: Client) -> None:
    attempt = on_terminal(client, "/bin/sleep", "1000")

    refusal = client.reply_to(client.post({"op": "unread", "attempt": attempt}))["error"]

    assert refusal["code"] == "EBADF"


def test_a_pipe_takes_all_of_a_line_or_nothing(client: Client) -> None:
    attempt = client.spawn("/bin/sleep", "1000", stdin={"kind": "pipe"})
    found = set()
    while "error" not in (reply := client.reply_to(client.post(write(attempt, "x" * 4095)))):
        found.add(reply["ok"]["written"])

    assert found == {4095}


def test_who_has_no_input_or_has_closed_it_or_has_ended_is_told_from_each_other(client: Client) -> None:
    without = client.spawn("/bin/sleep", "1000")
    closed = client.python("import os, time; os.close(0); os.write(1, b'x'); time.sleep(1000)", stdin={"kind": "pipe"})
    ended = client.spawn("/bin/true", stdin={"kind": "pipe"})
    client.wait_for_output(closed, b"x")
    client.report("ended", ended)

    assert client.refusal(write(without, "x"))["code"] == "EBADF"
    assert client.refusal(write(closed, "x"))["code"] == "EPIPE"
    assert client.refusal(write(ended, "x"))["code"] == "ESRCH"
    assert client.refusal({"op": "interrupt", "attempt": ended})["code"] == "ESRCH"
    assert client.refusal(write("0" * 32, "x"))["code"] == "unknown-attempt"


def test_an_interrupt_goes_to_the_whole_group_of_a_worker_with_pipes(client: Client) -> None:
    script = f'"{sys.executable}" -I -S -c "$0" & "{sys.executable}" -I -S -c "$0"'
    attempt = client.spawn("/bin/sh", "-c", f"trap : INT; {script}; wait", TELLS)
    client.wait_for_output(attempt, b"readyready")

    client.ask({"op": "interrupt", "attempt": attempt})

    client.wait_for_output(attempt, b"interrupted")


def test_an_interrupt_goes_to_who_is_in_the_foreground_of_a_terminal(client: Client) -> None:
    needs("bash", "install bash")
    script = f'set -m; "{sys.executable}" -I -S -c "$0"; echo "shell lives"; sleep 1000'
    attempt = on_terminal(client, "/bin/bash", "-c", script, TELLS.replace('b"interrupted")', 'b"told"); os._exit(3)'))
    client.wait_for_output(attempt, b"ready")

    client.ask({"op": "interrupt", "attempt": attempt})

    assert b"told" in client.wait_for_output(attempt, b"shell lives")


def test_an_adopted_worker_is_reached_as_before(client: Client, tmp_path: Path) -> None:
    request = client.spawn_request("/bin/cat", stdin={"kind": "pipe"})
    spawned = client.ask(request)
    fds = [os.dup(fd) for fd in client.fds]
    client.keeper.process.send_signal(signal.SIGKILL)
    client.keeper.process.wait()
    with running_keeper(tmp_path / "fleet2") as next_keeper:
        adopt = {
            **request,
            "op": "adopt",
            "pid": spawned["pid"],
            "start_ticks": spawned["start_ticks"],
            "fds": len(fds),
        }
        next_keeper.ask(adopt, fds)

        answer = next_keeper.ask(write(request["attempt"], "again\n"))
        client.wait_for_output(request["attempt"], b"again\n")

        assert answer == {"written": 6}
        os.kill(spawned["pid"], signal.SIGKILL)
        wait_until_gone(spawned["pid"])
        for fd in fds:
            os.close(fd)
