"""Clients of real tmux servers: replies, output, deadlines, and every way in which they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from actors.strays import BESIDE
from actors.tmux_client import ControlClient, open_client, run_tmux
from actors.tmux_process import Server
from protocols.errors import TmuxError
from tests.keeper_client import wait_until_gone
from tests.tmux import Tmux, open_tmux

pytestmark = pytest.mark.deadline(60)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    with open_tmux(tmp_path) as found:
        yield found


def _server(path: Path) -> Server:
    return Server(("-S", str(path)), {"PATH": os.environ["PATH"], "CALLBOARD_MARK": BESIDE})


@pytest.fixture
def server(tmux: Tmux) -> Server:
    return _server(tmux.cwd / "tmux")


class _Printed:
    """What a pane printed since the client was there."""

    def __init__(self) -> None:
        self.data = b""
        self.grown = trio.Event()

    async def take(self, data: bytes) -> None:
        self.data += data
        self.grown.set()
        self.grown = trio.Event()

    async def wait_for(self, text: bytes) -> None:
        while text not in self.data:
            await self.grown.wait()


async def _attach(client: ControlClient, nursery: trio.Nursery, printed: _Printed | None = None) -> None:
    nursery.start_soon(client.run, "%0", (printed or _Printed()).take)


@pytest.mark.parametrize("staying", [True, False])
async def test_only_one_of_us_comes_to_a_server_at_a_time(
    server: Server, nursery: trio.Nursery, *, staying: bool
) -> None:
    done = trio.Event()

    async def come() -> None:
        if staying:
            async with open_client(server, "attach-session"):
                pass
        else:
            await run_tmux(server, "list-sessions")
        done.set()

    async with server.turn:
        nursery.start_soon(come)
        await trio.sleep(0.1)
        assert not done.is_set()
        assert server.turn.statistics().tasks_waiting == 1
    await done.wait()


async def test_a_single_command_gives_its_lines(server: Server) -> None:
    assert await run_tmux(server, "display-message", "-p", "#{pane_id}") == ["%0"]
    assert await run_tmux(server, "set-option", "-g", "status", "off") == []


async def test_a_command_that_tmux_refuses_says_why(server: Server) -> None:
    with pytest.raises(TmuxError, match="can't find pane: %7"):
        await run_tmux(server, "kill-pane", "-t", "%7")


async def test_a_server_that_never_was_and_one_that_is_gone_are_told_apart(tmux: Tmux, server: Server) -> None:
    never = _server(tmux.cwd / "never")

    with pytest.raises(TmuxError, match=r"error connecting to .*never \(No such file or directory\)"):
        await run_tmux(never, "list-sessions")
    with pytest.raises(TmuxError, match=r"error connecting to .*never \(No such file or directory\)"):
        async with open_client(never, "attach-session"):
            pass
    tmux.server.kill()
    tmux.server.wait()
    with pytest.raises(TmuxError, match="no server running"):
        await run_tmux(server, "list-sessions")
    assert not (tmux.cwd / "never").exists()


async def test_replies_belong_to_their_commands_whoever_asks(server: Server, nursery: trio.Nursery) -> None:
    found: dict[int, list[str]] = {}

    async with open_client(server, "attach-session", "-t", "=0") as (client, _):
        await _attach(client, nursery)

        async def ask(number: int) -> None:
            found[number] = await client.command("display-message", "-p", f"n {number}")

        async with trio.open_nursery() as asking:
            for number in range(50):
                asking.start_soon(ask, number)

    assert found == {number: [f"n {number}"] for number in range(50)}


async def test_what_a_pane_prints_arrives_byte_for_byte(tmux: Tmux, server: Server, nursery: trio.Nursery) -> None:
    printed = _Printed()
    (tmux.cwd / "bytes").write_bytes(bytes(range(256)) * 40 + b"end of it")

    async with open_client(server, "attach-session", "-t", "=0") as (client, _):
        await _attach(client, nursery, printed)
        await client.command("send-keys", "-l", "stty raw; clear; cat bytes; stty sane")
        await client.command("send-keys", "Enter")
        await printed.wait_for(b"end of it")

    assert bytes(range(256)) * 40 + b"end of it" in printed.data


async def test_any_text_is_one_argument(server: Server, nursery: trio.Nursery) -> None:
    text = "".join(map(chr, range(1, 300))) + "; kill-server ~ $HOME #{pid} 'a' \"b\" \\ \U0001f600;"

    async with open_client(server, "attach-session", "-t", "=0") as (client, _):
        await _attach(client, nursery)
        await client.command("set-buffer", "-b", "text", text)
        await client.command("save-buffer", "-b", "text", f"{server.flags[1]}.text")

    saved = await trio.Path(f"{server.flags[1]}.text").read_bytes()
    assert saved == text.encode()


async def test_a_cancelled_command_does_not_take_the_reply_of_the_next(server: Server, nursery: trio.Nursery) -> None:
    async with open_client(server, "attach-session", "-t", "=0") as (client, _):
        await _attach(client, nursery)
        for _ in range(20):
            with trio.move_on_after(0):
                await client.command("display-message", "-p", "first")

        assert await client.command("display-message", "-p", "second") == ["second"]


async def test_a_server_that_hangs_is_told_and_not_waited_for(
    tmux: Tmux, server: Server, nursery: trio.Nursery
) -> None:
    async with open_client(server, "attach-session", "-t", "=0") as (client, _):
        await _attach(client, nursery)
        tmux.server.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(TmuxError, match=r"no answer to display-message within 0\.2 s"):
                await client.command("display-message", "-p", "x", deadline=0.2)
            with pytest.raises(TmuxError, match=r"no answer to display-message within 0\.2 s"):
                await run_tmux(server, "display-message", "-p", "x", deadline=0.2)
        finally:
            tmux.server.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("kill-server", "its session was closed"),
        ("kill-pane", "its session was closed"),
        ("KILL", "server exited unexpectedly"),
        ("client", "the control client is gone"),
    ],
)
async def test_the_end_of_a_client_is_noticed_with_its_reason_and_fails_what_waits(
    tmux: Tmux, server: Server, nursery: trio.Nursery, how: str, reason: str
) -> None:
    async with open_client(server, "attach-session", "-t", "=0") as (client, _):
        await _attach(client, nursery)
        if how == "KILL":
            tmux.server.kill()
        elif how == "client":
            os.kill(client.pid, signal.SIGKILL)
        else:
            tmux.command(how)

        await client.gone.wait()
        with pytest.raises(TmuxError, match=reason):
            await client.command("list-sessions")


async def test_leaving_a_client_leaves_its_session(tmux: Tmux, server: Server, nursery: trio.Nursery) -> None:
    async with open_client(server, "attach-session", "-t", "=0") as (client, _):
        await _attach(client, nursery)
        assert len(await run_tmux(server, "list-clients")) == 1

    assert await run_tmux(server, "list-clients") == []
    assert await run_tmux(server, "list-sessions", "-F", "#{session_name}") == ["0"]
    wait_until_gone(client.pid)


def test_a_client_ends_with_its_process_and_does_not_hold_its_server(tmux: Tmux) -> None:
    script = (
        "import trio; from actors.tmux_client import *; from actors.tmux_process import *\n"
        "async def main():\n"
        f" async with open_client(Server(('-S', {str(tmux.cwd / 'tmux')!r}), { {'PATH': os.environ['PATH']}!r}),"
        " 'attach-session') as (client, _):\n"
        "  print(client.pid, flush=True); await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()

    wait_until_gone(pid)
    tmux.command("kill-server")
    assert tmux.server.wait(20) == 0
