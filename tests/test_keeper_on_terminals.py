"""The keeper's workers on terminals of their own: real processes, and what a person would see there."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.keeper_process.fields import Window
from actors.keeper_process.requests import Spawn, Stdin, Terms
from actors.keeper_process.spawn import FileLimit, StartError, spawn
from actors.keeper_process.status import read_status
from tests.keeper_client import Client, is_alive, running_keeper
from tests.small_disk import small_disk

RESIZED = """
import os, signal
def tell(*_): os.write(1, b"%dx%d " % os.get_terminal_size(0))
signal.signal(signal.SIGWINCH, tell)
tell()
while True: signal.pause()
"""
CONTROLLED = """
import os
assert os.isatty(0) and os.isatty(1) and os.isatty(2)
assert os.ttyname(0) == os.ttyname(1) == os.ttyname(2)
tty = os.open("/dev/tty", os.O_RDWR)
assert os.tcgetpgrp(tty) == os.getpid() == os.getsid(0)
os.write(tty, b"controlled")
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as client:
        yield client


def start(client: Client, *argv: str, **changes: object) -> str:
    """Start a command on a terminal; the attempt's id."""
    request = client.terminal_request(*argv, **changes)
    client.ask(request)
    return str(request["attempt"])


def shell(client: Client, script: str, **changes: object) -> str:
    return start(client, "/bin/sh", "-c", script, **changes)


def printed(client: Client, attempt: str) -> bytes:
    """All that came of it."""
    client.report("ended", attempt)
    return client.stdout(attempt)


def test_stdin_and_output_are_a_terminal_that_controls_the_worker(client: Client) -> None:
    assert printed(client, start(client, sys.executable, "-I", "-S", "-c", CONTROLLED)) == b"controlled"


def test_both_outputs_are_one_stream_in_the_order_of_their_bytes(client: Client) -> None:
    attempt = shell(client, "printf 1; printf 2 >&2; printf 3; printf 4 >&2; printf 5 >/dev/tty; exit 3")

    ended = client.report("ended", attempt)

    assert client.stdout(attempt) == b"12345"
    assert (ended["code"], ended["terminal_bytes"], ended["stdout_bytes"], ended["stderr_bytes"]) == (3, 5, 0, 0)
    status = read_status(client.keeper.folder / f"{attempt}.status")
    assert status is not None and (status.terminal_bytes, status.stdout_bytes) == (5, None)


def test_the_size_is_there_from_the_start_and_a_new_one_is_told_to_the_worker(client: Client) -> None:
    attempt = start(client, sys.executable, "-I", "-S", "-c", RESIZED, window=[100, 30])
    client.wait_for_output(attempt, b"100x30 ")

    client.ask({"op": "resize", "attempt": attempt, "window": [40, 65535]})

    assert client.wait_for_output(attempt, b"40x65535 ") == b"100x30 40x65535 "
    client.stop(attempt)
    client.report("ended", attempt)
    client.ask({"op": "resize", "attempt": attempt, "window": [40, 10]})  # too late is no mistake


def test_what_has_no_terminal_has_no_size(client: Client) -> None:
    attempt = client.shell("read line", stdin={"kind": "pipe"})

    refused = client.refusal({"op": "resize", "attempt": attempt, "window": [40, 10]})

    assert refused["code"] == "ENOTTY" and "has no terminal" in refused["message"]
    client.ask({"op": "close_stdin", "attempt": attempt})


def test_what_is_typed_is_echoed_and_edited_and_read(client: Client) -> None:
    attempt = shell(client, "echo ready; read line; echo got $line")
    client.wait_for_output(attempt, b"ready\r\n")

    os.write(client.fds[0], "aü\x7fb\n".encode())

    assert printed(client, attempt) == "ready\r\naü\b \bb\r\ngot ab\r\n".encode()


def test_keys_are_signals_for_who_is_in_the_foreground(client: Client) -> None:
    attempt = shell(client, "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.01; done")
    client.wait_for_output(attempt, b"ready\r\n")

    os.write(client.fds[0], b"\x03")

    assert client.report("ended", attempt)["code"] == 3
    assert client.stdout(attempt) == b"ready\r\n^Cinterrupted\r\n"


@pytest.mark.parametrize("text", ["", "a\x00\xff\x03\x04\x13\n", "long " * 100_000])
def test_a_text_for_stdin_is_redirected_as_by_a_shell_and_not_typed(client: Client, text: str) -> None:
    script = "wc -c; test -t 0 || test -t 1 && test -t 2 && tty </dev/tty"

    attempt = shell(client, script, stdin={"kind": "text", "text": text})

    assert printed(client, attempt).split() == [str(len(text)).encode(), b"/dev/tty"]


def test_input_by_a_pipe_ends_by_command_and_the_terminal_stays(client: Client) -> None:
    attempt = shell(client, "echo ready; cat; echo closed >/dev/tty", stdin={"kind": "pipe"})
    client.wait_for_output(attempt, b"ready")

    os.write(client.fds[3], b"text\n")
    os.close(client.fds.pop(3))
    client.ask({"op": "close_stdin", "attempt": attempt})

    assert printed(client, attempt) == b"ready\r\ntext\r\nclosed\r\n"


def test_who_closes_the_terminal_has_not_ended_it_and_may_come_back(client: Client) -> None:
    script = "echo one; exec 0<&- 1>&- 2>&-; while [ ! -e go ]; do sleep 0.01; done 2>/dev/null; echo two >/dev/tty"
    attempt = shell(client, script)
    client.wait_for_output(attempt, b"one\r\n")
    client.ask({"op": "ping"})

    (client.keeper.folder / "go").touch()

    assert printed(client, attempt) == b"one\r\ntwo\r\n"


def test_a_worker_inherits_no_descriptor_but_its_three(client: Client) -> None:
    shell(client, "exec sleep 100")

    assert int(printed(client, shell(client, "ls /proc/self/fd | wc -l"))) == 4  # the fourth is of ls


def test_a_spawn_asked_again_gives_the_same_terminal_and_at_its_end_one_that_has_ended(client: Client) -> None:
    request = client.terminal_request("/bin/sh", "-c", "echo once; read line")

    first, second = client.ask(request), client.ask(request)
    client.wait_for_output(request["attempt"], b"once\r\n")
    os.write(client.fds[3], b"\n")
    client.report("ended", request["attempt"])
    third = client.ask(request)

    assert first == second == third
    assert len(client.fds) == 9
    assert client.stdout(request["attempt"]) == b"once\r\n\r\n"
    with pytest.raises(OSError, match="Input/output error"):
        os.read(client.fds[6], 1)


def test_descriptors_beyond_the_users_own_limit_are_no_obstacle(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
    try:
        with running_keeper(tmp_path / "fleet") as client:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for _ in range(10):
                shell(client, "exec sleep 100")
                client.drop_fds()
            attempts = [shell(client, "cat; tty", stdin={"kind": kind, "text": "text\n"}) for kind in ("text", "none")]
            os.write(client.fds[-3], b"\x04")

            assert printed(client, attempts[0]) == b"text\r\nnot a tty\r\n"
            assert b"/dev/pts/" in printed(client, attempts[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_cannot_be_started_leaves_no_terminal_behind(client: Client) -> None:
    folder = Path(f"/proc/{client.keeper.process.pid}/fd")
    client.ask({"op": "ping"})
    before = len(list(folder.iterdir()))

    refused = client.refusal(client.terminal_request("/none"))

    assert refused["code"] == "ENOENT"
    assert len(list(folder.iterdir())) == before


def test_without_terminals_a_start_is_refused_with_what_to_do_and_not_as_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "openpty", none_left)
    terms = Terms("a", {"terminal": b"/dev/null"}, b"/dev/null", attached=True, timeout=1.0, grace=1.0, linger=1.0)
    request = Spawn(terms, b"/bin/true", [b"true"], b"/", {}, Stdin("none", b""), Window(80, 24))
    limit = FileLimit()

    with pytest.raises(StartError, match=r"kernel\.pty\.max") as caught:
        spawn(request, limit)

    limit.give_back()
    limit.low.close()
    assert caught.value.code == "EAGAIN"


def test_nothing_of_a_terminal_stays_open_when_its_worker_has_ended(client: Client) -> None:
    folder = Path(f"/proc/{client.keeper.process.pid}/fd")
    client.ask({"op": "ping"})
    before = len(list(folder.iterdir()))

    printed(client, shell(client, "echo text"))
    client.ask({"op": "ping"})

    assert len(list(folder.iterdir())) == before


def test_a_daemon_that_shows_nothing_but_its_terminal_ends_with_its_worker(client: Client) -> None:
    shell(client, "exec sleep 100")  # else whatever nobody can place would be of the only attempt
    script = "trap '' HUP; env -i setsid sh -c 'setsid sleep 100 & echo $!' & wait"
    attempt = shell(client, script)

    ended = client.report("ended", attempt)

    assert [name.partition(" ")[2] for name in ended["swept"]] == ["sleep 100"]
    assert not is_alive(int(client.stdout(attempt)))


def test_a_full_disk_makes_who_writes_to_a_terminal_wait(client: Client, tmp_path: Path) -> None:
    script = "import os, tty; tty.setraw(1)\nfor _ in range(400): os.write(1, b'x' * 1000)"
    with small_disk(tmp_path / "disk") as disk:
        request = client.terminal_request(sys.executable, "-I", "-c", script)
        client.ask({**request, "terminal": str(disk / "spool")})

        blocked = client.report("blocked")
        subprocess.run(["mount", "-o", "remount,size=2m", disk], check=True)
        client.report("resumed")
        ended = client.report("ended")

        assert (blocked["stream"], blocked["error"]) == ("terminal", "No space left on device")
        assert (ended["code"], ended["terminal_bytes"]) == (0, 400_000)
        assert (disk / "spool").read_bytes() == b"x" * 400_000
