"""Keys for real panes, and the proof that a program has taken them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from actors.strays import BESIDE
from actors.tmux_client import ControlClient, open_client
from actors.tmux_keys import type_keys
from actors.tmux_process import Server
from tests.tmux import Tmux, open_tmux

pytestmark = pytest.mark.deadline(60)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    with open_tmux(tmp_path) as found:
        yield found


@pytest.fixture
def server(tmux: Tmux) -> Server:
    environ = {"PATH": os.environ["PATH"], "CALLBOARD_MARK": BESIDE}
    return Server(("-S", str(tmux.cwd / "tmux")), environ)


async def _drop(_: bytes) -> None:
    pass


async def _attach(client: ControlClient, nursery: trio.Nursery) -> None:
    nursery.start_soon(client.run, "%0", _drop)


async def test_a_text_and_enter_are_taken_by_who_reads(tmux: Tmux, server: Server, nursery: trio.Nursery) -> None:
    async with open_client(server, "attach-session") as (client, _):
        await _attach(client, nursery)
        text = "echo 'ä; $HOME' > got"

        assert await type_keys(client, "%0", tmux.told("pane_tty"), text.encode()) == ""
        assert await type_keys(client, "%0", tmux.told("pane_tty"), b"\r") == ""

    tmux.wait_until(lambda: (tmux.cwd / "got").exists() and (tmux.cwd / "got").read_text() == "ä; $HOME\n")


@pytest.mark.parametrize(("mode", "count"), [("cooked", 6), ("raw", 7)])
async def test_a_pane_that_does_not_read_takes_none_and_that_is_told(
    tmux: Tmux, server: Server, nursery: trio.Nursery, mode: str, count: int
) -> None:
    tmux.run(f"stty {mode} -echo; echo up; exec sleep 1000")
    tmux.wait_for("up")
    async with open_client(server, "attach-session") as (client, _):
        await _attach(client, nursery)
        keys = b"hello\r" if mode == "cooked" else b"hello!\r"

        failed = await type_keys(client, "%0", tmux.told("pane_tty"), keys, patience=0.3)

    assert failed == f"it does not read its terminal: {count} bytes wait there"


async def test_a_program_that_is_slow_to_read_takes_them_in_the_end(
    tmux: Tmux, server: Server, nursery: trio.Nursery
) -> None:
    tmux.run("echo up; while [ ! -e go ]; do sleep 0.02; done; read line; echo $line > got")
    tmux.wait_for("up")
    async with open_client(server, "attach-session") as (client, _):
        await _attach(client, nursery)

        async with trio.open_nursery() as typing:
            typing.start_soon(trio.Path(tmux.cwd / "go").touch)
            assert await type_keys(client, "%0", tmux.told("pane_tty"), b"later\r", patience=30) == ""

    tmux.wait_until((tmux.cwd / "got").exists)


async def test_a_pane_in_which_somebody_scrolls_takes_none(tmux: Tmux, server: Server, nursery: trio.Nursery) -> None:
    tmux.command("copy-mode")
    async with open_client(server, "attach-session") as (client, _):
        await _attach(client, nursery)

        failed = await type_keys(client, "%0", tmux.told("pane_tty"), b"x\r")

    assert failed == "somebody scrolls in its pane, which takes no keys meanwhile"


async def test_where_the_pane_ends_before_the_proof_that_is_told(
    tmux: Tmux, server: Server, nursery: trio.Nursery
) -> None:
    tmux.run("read line; exec sleep 1000")
    async with open_client(server, "attach-session") as (client, _):
        await _attach(client, nursery)

        async def end() -> None:
            await trio.to_thread.run_sync(tmux.wait_for, "x")  # the terminal shows it, and nobody reads what follows
            await trio.to_thread.run_sync(tmux.command, "kill-server")

        async with trio.open_nursery() as ending:
            ending.start_soon(end)
            failed = await type_keys(client, "%0", tmux.told("pane_tty"), b"x\ry\r", patience=60)

    assert failed.startswith("typed, and before it was sure that somebody had read it, that was over: tmux server ")


async def test_a_pane_that_is_gone_is_told(tmux: Tmux, server: Server, nursery: trio.Nursery) -> None:
    terminal = tmux.told("pane_tty")
    async with open_client(server, "attach-session") as (client, _):
        await _attach(client, nursery)
        tmux.command("kill-server")
        await client.gone.wait()

        failed = await type_keys(client, "%0", terminal, b"x\r")

    assert failed
