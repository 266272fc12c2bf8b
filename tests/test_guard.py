"""The guard: whatever becomes of a process that draws, its terminal is as before."""

import os
import signal
from pathlib import Path

import pytest
import trio

from actors.keeper_process.ancestry import children_of
from actors.live.guard import open_guard
from tests.drawing import LEAVE, Drawer, drawing, drawing_in_shell
from tests.keeper_client import is_alive
from tests.tmux import open_tmux


def _is_gone(pid: int) -> bool:
    return not is_alive(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGQUIT])
def test_after_a_sudden_death_the_terminal_is_restored(tmp_path: Path, number: signal.Signals) -> None:
    with drawing(tmp_path) as process:
        guard = process.guard
        quiet = not process.line.echoes

        process.signal(number)
        process.finish(-number)
        process.wait_until(lambda: _is_gone(guard))

        assert quiet
        assert process.line.echoes
        assert process.read().endswith(LEAVE)


def test_an_echo_that_was_off_before_stays_off(tmp_path: Path) -> None:
    with drawing(tmp_path, echoes=False) as process:
        guard = process.guard

        process.signal(signal.SIGKILL)
        process.finish(-signal.SIGKILL)
        process.wait_until(lambda: _is_gone(guard))

        assert not process.line.echoes
        assert process.read().endswith(LEAVE)


def test_after_an_orderly_end_no_guard_is_left_and_the_terminal_was_restored_once(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        guard = process.guard

        process.signal(signal.SIGTERM)
        process.wait_for_word("left")
        process.finish()

        assert not Path(f"/proc/{guard}").exists()
        assert process.printed.count(LEAVE) == 1
        assert process.line.echoes


def test_a_terminal_that_was_stopped_is_restored_once_it_goes_on(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        guard = process.guard
        process.line.hold()

        process.signal(signal.SIGUSR1)
        process.finish()
        before = process.printed
        process.line.go_on()
        process.wait_until(lambda: _is_gone(guard))

        assert LEAVE not in before
        assert process.read().endswith(LEAVE)
        assert process.line.echoes


def test_a_guard_that_was_killed_is_not_missed_at_an_orderly_end(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        guard = process.guard

        os.kill(guard, signal.SIGKILL)
        process.wait_until(lambda: _is_gone(guard))
        process.signal(signal.SIGTERM)
        process.finish()

        assert process.told[-1] == "left"
        assert process.printed.count(LEAVE) == 1
        assert process.line.echoes


def test_what_is_meant_for_others_does_not_end_it(tmp_path: Path) -> None:
    with drawing(tmp_path) as process:
        guard = process.guard
        process.wait_until(lambda: process.guard_watches)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
            os.kill(guard, number)

        process.signal(signal.SIGKILL)
        process.finish(-signal.SIGKILL)
        process.wait_until(lambda: _is_gone(guard))

        assert process.read().endswith(LEAVE)


def test_it_stands_beside_the_fleet_with_nothing_of_ours_but_the_terminal(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        env = {"CALLBOARD_MARK": "outer/one", "SECRET": "x"}
        with drawing(tmp_path, env=env, fds=(lock.fileno(),)) as process:
            process.wait_until(lambda: process.guard_watches)
            guard = Path(f"/proc/{process.guard}")
            environment = dict(entry.split("=", 1) for entry in (guard / "environ").read_text().split("\0")[:-1])

            assert environment == {"PATH": os.environ["PATH"], "CALLBOARD_MARK": "outer/one:beside"}
            assert sorted(path.name for path in (guard / "fd").iterdir()) == ["0", "1", "2"]
            assert os.getsid(int(guard.name)) == int(guard.name)
            assert b"callboard" not in (guard / "cmdline").read_bytes()


def test_killed_while_it_is_suspended_it_leaves_the_terminal_to_the_shell(tmp_path: Path) -> None:
    with drawing_in_shell(tmp_path) as (terminal, drawer):
        guard = drawer.guard
        terminal.type("\x1a")
        terminal.wait_for(LEAVE)
        terminal.wait_for(b"ready> ")

        drawer.signal(signal.SIGKILL)
        drawer.wait_until(lambda: _is_gone(guard))
        terminal.type("echo do''ne\n")

        assert LEAVE not in terminal.read_until(b"done\r\n")


def test_after_kill_9_a_person_sees_the_screen_of_before_and_a_cursor(tmp_path: Path) -> None:
    with open_tmux(tmp_path) as tmux:
        drawer = Drawer(tmp_path)
        tmux.run(drawer.typed)
        tmux.wait_for("picture 1 100x30.")
        hidden = tmux.told("cursor_flag"), tmux.told("alternate_on")

        drawer.signal(signal.SIGKILL)
        tmux.wait_until(lambda: tmux.told("alternate_on") == "0")

        assert hidden == ("0", "1")
        assert "ready> PYTHON" in tmux.text and "picture" not in tmux.text
        assert (tmux.told("cursor_flag"), tmux.told("wrap_flag")) == ("1", "1")


async def test_one_that_has_nothing_to_do_is_reaped_and_has_written_nothing() -> None:
    master, slave = os.openpty()
    async with open_guard(slave, b"restored") as guard:
        guard.tell("echo")
        guard.tell("")

    os.write(slave, b"nothing.")
    assert os.read(master, 100) == b"nothing."
    assert not children_of(os.getpid())
    os.close(master)
    os.close(slave)


async def test_one_that_has_something_to_do_waits_for_our_end_since_a_thread_may_still_write() -> None:
    master, slave = os.openpty()
    async with open_guard(slave, b"restored.") as guard:
        guard.tell("-echo")

    (pid,) = children_of(os.getpid())
    os.write(slave, b"of a thread.")
    os.close(guard._pipe)  # as the kernel does with all that is ours
    await trio.to_thread.run_sync(os.waitpid, pid, 0)
    printed = b""
    while not printed.endswith(b"restored."):
        printed += os.read(master, 100)

    assert printed == b"of a thread.restored."
    os.close(master)
    os.close(slave)
