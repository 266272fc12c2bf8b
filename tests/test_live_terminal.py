"""The terminal: its modes come and go with the pictures, whatever signals, shells and people do to it."""

import fcntl
import os
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.cells import Size
from actors.live.claim import Claim
from actors.live.guard import Guard
from actors.live.terminal import Terminal, in_foreground, is_dull, open_terminal
from tests.drawing import ENTER, LEAVE, Drawer, drawing, drawing_in_shell
from tests.tmux import open_tmux

# A shell of a kind: takes the terminal back for USR1, and lends it again for USR2.
_LENDER = """
import os, signal, subprocess, sys
borrower = subprocess.Popen(["sh", "-c", "exec env " + sys.argv[1]], process_group=0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.tcsetpgrp(0, borrower.pid)
signal.signal(signal.SIGUSR1, lambda *_: os.tcsetpgrp(0, os.getpgrp()))
signal.signal(signal.SIGUSR2, lambda *_: os.tcsetpgrp(0, borrower.pid))
borrower.wait()
"""


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal that controls nobody."""
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def _printed(pair: tuple[int, int]) -> bytes:
    """All that the terminal was told so far."""
    os.write(pair[1], b"\0")
    printed = b""
    while not printed.endswith(b"\0"):
        printed += os.read(pair[0], 65536)
    return printed[:-1]


def _modes(fd: int) -> tuple[bool, bool, bool]:
    """Echo; keys such as Ctrl-C; and whole lines."""
    flags: int = termios.tcgetattr(fd)[3]
    return bool(flags & termios.ECHO), bool(flags & termios.ISIG), bool(flags & termios.ICANON)


def _ignore() -> None:
    pass


async def test_pictures_have_modes_of_their_own_and_afterwards_all_is_as_before(pair: tuple[int, int]) -> None:
    before = termios.tcgetattr(pair[1])

    async with open_terminal(pair[1], _ignore) as terminal:
        written = await terminal.write(b"one") and await terminal.write(b"two")
        during = _modes(pair[1])

    assert written
    assert during == (False, True, True)
    assert termios.tcgetattr(pair[1]) == before
    assert not fcntl.fcntl(pair[1], fcntl.F_GETFL) & os.O_NONBLOCK
    assert _printed(pair) == ENTER + b"onetwo" + LEAVE


async def test_an_echo_that_was_off_before_stays_off(pair: tuple[int, int]) -> None:
    before = termios.tcgetattr(pair[1])
    before[3] &= ~termios.ECHO
    termios.tcsetattr(pair[1], termios.TCSANOW, before)

    async with open_terminal(pair[1], _ignore) as terminal:
        await terminal.write(b"one")

    assert termios.tcgetattr(pair[1]) == before


async def test_where_no_picture_was_written_nothing_was_changed(pair: tuple[int, int]) -> None:
    async with open_terminal(pair[1], _ignore):
        during = _modes(pair[1])

    assert during == (True, True, True)
    assert _printed(pair) == b""


async def test_after_an_error_it_is_restored_too(pair: tuple[int, int]) -> None:
    with pytest.RaisesGroup(ZeroDivisionError):
        async with open_terminal(pair[1], _ignore) as terminal:
            await terminal.write(b"one")
            raise ZeroDivisionError

    assert _modes(pair[1])[0]
    assert _printed(pair) == ENTER + b"one" + LEAVE


async def test_cancelled_it_is_restored_too(pair: tuple[int, int]) -> None:
    with trio.CancelScope() as scope:
        async with open_terminal(pair[1], _ignore) as terminal:
            await terminal.write(b"one")
            scope.cancel(reason="in haste")
            await trio.sleep_forever()

    assert _modes(pair[1])[0]
    assert _printed(pair) == ENTER + b"one" + LEAVE


async def test_another_size_asks_for_another_picture_within_the_same_modes(pair: tuple[int, int]) -> None:
    woken = trio.Event()
    async with open_terminal(pair[1], woken.set) as terminal:
        await terminal.write(b"one")
        epoch = terminal.epoch

        os.kill(os.getpid(), signal.SIGWINCH)
        await woken.wait()
        await terminal.write(b"two")

        assert terminal.epoch > epoch
    assert _printed(pair) == ENTER + b"onetwo" + LEAVE


async def test_all_that_is_asked_for_at_a_time_happens_in_order(pair: tuple[int, int]) -> None:
    async with open_terminal(pair[1], _ignore) as terminal:
        await terminal.write(b"one")
        termios.tcflow(pair[1], termios.TCOOFF)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.write, b"two")
            await wait_all_tasks_blocked()
            nursery.start_soon(terminal.restore)
            await wait_all_tasks_blocked()
            nursery.start_soon(terminal.write, b"too late")
            await wait_all_tasks_blocked()
            termios.tcflow(pair[1], termios.TCOON)

    assert _printed(pair) == ENTER + b"onetwo" + LEAVE


async def test_what_would_hit_somebody_elses_screen_is_dropped(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.live.terminal._LOOK_EVERY", 0.001)
    ours_again = trio.Event()

    def wake() -> None:
        if terminal.shows:
            ours_again.set()

    async with open_terminal(pair[1], wake) as terminal:
        await terminal.write(b"one")
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("actors.live.terminal.in_foreground", lambda _: False)
            dropped = await terminal.write(b"two")
        await ours_again.wait()
        await terminal.write(b"three")

    assert dropped
    assert _printed(pair) == ENTER + b"one" + ENTER + b"three" + LEAVE


async def test_the_modes_of_somebody_else_in_the_foreground_are_left_alone(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_terminal(pair[1], _ignore) as terminal:
        await terminal.write(b"one")
        before = termios.tcgetattr(pair[1])
        monkeypatch.setattr("actors.live.terminal.in_foreground", lambda _: False)

    assert termios.tcgetattr(pair[1]) == before
    assert _printed(pair) == ENTER + b"one" + LEAVE


def test_a_size_that_the_terminal_does_not_know(pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(pair[1], _ignore, Guard(-1), Claim(None))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)
    unknown = terminal.size()
    monkeypatch.setenv("COLUMNS", "61")
    monkeypatch.setenv("LINES", "many")
    told = terminal.size()
    fcntl.ioctl(pair[0], termios.TIOCSWINSZ, b"\x11\x00\x22\x00\x00\x00\x00\x00")

    assert unknown == Size(80, 24)
    assert told == Size(61, 24)
    assert terminal.size() == Size(34, 17)


@pytest.mark.parametrize(
    ("term", "dull"), [(None, True), ("", True), ("dumb", True), ("unknown", True), ("xterm", False)]
)
def test_what_term_says(term: str | None, dull: bool) -> None:
    assert is_dull({} if term is None else {"TERM": term}) == dull


def test_a_terminal_that_does_not_control_us_counts_as_foreground(pair: tuple[int, int]) -> None:
    assert in_foreground(pair[1])


def test_a_stopped_terminal_holds_up_nobody(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        process.line.hold()
        process.resize(40, 10)
        process.wait_for_word("drawing 2")
        process.signal(signal.SIGUSR2)
        process.wait_for_word("alive")
        told = process.told
        process.line.go_on()
        process.wait_for(b"picture 2 40x10.")

        assert told[-1] == "alive"


async def test_an_orderly_end_waits_for_a_stopped_terminal(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.live.terminal._PATIENCE", 0.0)

    async def go_on() -> None:
        await wait_all_tasks_blocked()
        termios.tcflow(pair[1], termios.TCOON)

    async with trio.open_nursery() as nursery, open_terminal(pair[1], _ignore) as terminal:
        await terminal.write(b"one")
        termios.tcflow(pair[1], termios.TCOOFF)
        nursery.start_soon(go_on)

    assert _modes(pair[1])[0]
    assert _printed(pair) == ENTER + b"one" + LEAVE


def test_haste_does_not_wait_for_a_stopped_terminal(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        process.line.hold()
        process.resize(40, 10)
        process.wait_for_word("drawing 2")
        process.signal(signal.SIGUSR1)
        process.finish()

        assert process.told[-1] == "left"
        assert LEAVE not in process.printed
        process.line.go_on()
        process.wait_for(LEAVE)


def test_a_terminal_that_hung_up_is_gone(tmp_path: Path) -> None:
    with drawing(tmp_path, ignored=signal.SIGHUP) as process:
        process.hang_up()
        process.signal(signal.SIGWINCH)
        process.wait_for_word("gone")
        process.signal(signal.SIGTERM)
        process.finish()

        assert process.told[-1] == "left"


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(tmp_path: Path) -> None:
    with drawing_in_shell(tmp_path) as (terminal, drawer):
        terminal.type("\x1a")
        suspended = terminal.read_until(b"Stopped")
        terminal.wait_for(b"ready> ")
        stopped, echoes = drawer.is_stopped, terminal.line.echoes
        terminal.type("fg\n")
        resumed = terminal.read_until(b"picture ")
        quiet = not terminal.line.echoes
        drawer.signal(signal.SIGTERM)
        left = terminal.read_until(b"ready> ")

        assert suspended.count(LEAVE) == 1
        assert stopped and echoes and quiet
        assert resumed.count(ENTER) == 1
        assert LEAVE in left and terminal.line.echoes


def test_ctrl_z_again_and_again(tmp_path: Path) -> None:
    with drawing_in_shell(tmp_path) as (terminal, _):
        for _ in range(3):
            terminal.type("\x1a")
            assert LEAVE in terminal.read_until(b"Stopped")
            terminal.type("fg\n")
            assert ENTER in terminal.read_until(b"picture ")


def test_it_stops_too_where_the_terminal_takes_nothing(tmp_path: Path) -> None:
    with drawing_in_shell(tmp_path) as (terminal, drawer):
        terminal.line.hold()
        drawer.signal(signal.SIGWINCH)
        drawer.wait_for_word("drawing 2")
        drawer.signal(signal.SIGTSTP)
        drawer.wait_until(lambda: drawer.is_stopped)
        terminal.line.go_on()
        terminal.wait_for(b"Stopped")
        terminal.type("fg\n")
        terminal.wait_for(ENTER)
        drawer.signal(signal.SIGTERM)
        left = terminal.read_until(b"ready> ")

        assert LEAVE in left and terminal.line.echoes


def test_where_the_shell_sees_only_the_parent_stop_it_is_restored_too(tmp_path: Path) -> None:
    with drawing_in_shell(tmp_path, "stty tostop; ", "sh -c '{}; true'") as (terminal, drawer):
        terminal.type("\x1a")
        terminal.wait_for(LEAVE)
        drawer.wait_until(lambda: drawer.is_stopped)
        terminal.type("fg\n")

        assert ENTER in terminal.read_until(b"picture ")
        assert not drawer.is_stopped


def test_in_the_background_nothing_is_written_until_it_comes_to_the_front(tmp_path: Path) -> None:
    with drawing_in_shell(tmp_path) as (terminal, drawer):
        terminal.type("\x1a")
        terminal.wait_for(b"Stopped")
        terminal.type("bg\n")
        drawer.wait_for_word("not showing")
        echoes = terminal.line.echoes
        terminal.type("echo mi''ne\n")
        between = terminal.read_until(b"mine\r\n")
        terminal.type("fg\n")

        assert echoes
        assert ENTER not in between and b"picture" not in between
        assert ENTER in terminal.read_until(b"picture ")


def test_stopped_by_somebody_else_it_sets_its_modes_again(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        process.signal(signal.SIGSTOP)
        process.wait_until(lambda: process.is_stopped)
        process.line.set_echo(on=True)
        process.signal(signal.SIGCONT)
        process.wait_for(ENTER + b"\x1b[Hpicture 2 80x24.")
        quiet = not process.line.echoes
        process.signal(signal.SIGTERM)
        process.finish()

        assert quiet
        assert process.line.echoes


def test_it_notices_within_a_second_whose_turn_it_is_where_nobody_tells(tmp_path: Path) -> None:
    (tmp_path / "lender.py").write_text(_LENDER)
    with drawing_in_shell(tmp_path, around=f"{sys.executable} {tmp_path}/lender.py '{{}}'") as (terminal, drawer):
        os.kill(drawer.parent, signal.SIGUSR1)
        drawer.wait_for_word("not showing")
        os.kill(drawer.parent, signal.SIGUSR2)

        assert LEAVE not in terminal.read_until(ENTER + b"\x1b[Hpicture ")


def test_a_ctrl_z_that_we_were_told_to_ignore_is_ignored(tmp_path: Path) -> None:
    with drawing(tmp_path, ignored=signal.SIGTSTP) as process:
        assert process.ignores(signal.SIGTSTP)


def test_where_nobody_could_make_it_go_on_it_does_not_stop(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        os.write(process.master, b"\x1a")
        process.wait_for(LEAVE + ENTER + b"\x1b[Hpicture 2 80x24.")

        assert not process.line.echoes


def test_in_tmux_ctrl_z_shows_the_screen_of_before_and_fg_the_picture(tmp_path: Path) -> None:
    with open_tmux(tmp_path) as tmux:
        tmux.run(Drawer(tmp_path).typed)
        tmux.wait_for("picture 1 100x30.")
        tmux.type("C-z")
        tmux.wait_for("Stopped")
        suspended = tmux.told("cursor_flag"), tmux.told("alternate_on"), tmux.text
        tmux.run("fg")
        tmux.wait_for("picture")

        assert suspended[:2] == ("1", "0")
        assert "ready> PYTHON" in suspended[2] and "picture" not in suspended[2]
        assert (tmux.told("cursor_flag"), tmux.told("alternate_on")) == ("0", "1")
