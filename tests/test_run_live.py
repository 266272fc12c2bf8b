"""A run as a person sees it: in a real terminal emulator, while it goes on, stops, is suspended or killed."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from protocols.events import RunEnded, WorkerExited, WorkerStarted
from tests.running import RunningPlan, python, task
from tests.tmux import Tmux, open_tmux

_WAIT = "while :; do sleep 0.05; done"
_UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done"


@contextmanager
def live(
    cwd: Path, *plan: str, command: str = "callboard run plan.toml", columns: int = 100, rows: int = 30
) -> Iterator[tuple[Tmux, RunningPlan]]:
    """A terminal in which the run has been started by hand."""
    (cwd / "plan.toml").write_text("\n".join(plan))
    with open_tmux(cwd, columns=columns, rows=rows) as tmux:
        run = RunningPlan(cwd, tmux.server)
        try:
            tmux.run(f"{command}; echo code=$?")
            yield tmux, run
        finally:
            run.close()


def is_restored(tmux: Tmux) -> bool:
    """The screen of before, a cursor, and what is typed is shown again."""
    return (tmux.told("alternate_on"), tmux.told("cursor_flag"), tmux.told("wrap_flag")) == ("0", "1", "1")


def supervisor(run: RunningPlan) -> int:
    identity = run.fleet.identity
    assert identity is not None
    return identity.pid


def test_who_may_stand_still_who_does_and_who_asks_are_told_apart(tmp_path: Path) -> None:
    spinner = r"""while :; do for c in '|' '/' '-' '\'; do printf '\r%s Thinking' "$c"; sleep 0.05; done; done"""
    plan = (
        '[defaults]\nquiet_after = "500ms"\nstalled_after = "2s"',
        task("silent", ["sleep", "600"]),
        task("spinner", spinner),
        task("patient", ["sleep", "600"], stalled_after="1h"),
        task("asker", "printf 'Proceed? [y/n] '; sleep 600"),
    )
    (tmp_path / "callboard.toml").write_text('[liveness]\nheartbeat = "200ms"\n')

    with live(tmp_path, *plan) as (tmux, _):
        for row in (
            r"! silent +stalled .*  nothing explains a silence of \d+s",
            r"! spinner +stalled .*  has only repeated itself for \d+s",
            r"► patient +quiet \(\?\) .*",
            r"► asker +asks .*",
        ):
            tmux.wait_until(lambda row=row: any(re.fullmatch(row, line.strip()) for line in tmux.screen))  # type: ignore[misc]


def test_each_worker_has_a_block_and_in_the_end_the_terminal_has_the_summary(tmp_path: Path) -> None:
    plan = (
        task("talker", f"echo first words; printf 'half a li'; {_UNTIL_GO}; echo ne", role="coder"),
        task("quick", "echo done"),
        "[roles.coder]",
    )
    with live(tmp_path, *plan) as (tmux, run):
        tmux.wait_for("half a li")
        seen = tmux.text
        (tmp_path / "go").touch()
        tmux.wait_for("code=0")

        assert "first words" in seen and "coder" in seen and "Ctrl-C stops the run" in seen
        assert "ready>" not in seen
        assert is_restored(tmux)
        assert "succeeded in" in tmux.text and "ready> callboard run plan.toml" in tmux.text
        assert "first words" not in tmux.text
        assert run.spool("talker") == b"first words\nhalf a line\n"


def test_ctrl_c_says_what_it_does_and_what_a_second_one_does(tmp_path: Path) -> None:
    with live(tmp_path, task("deaf", f"trap '' TERM; echo up; {_WAIT}", grace="1h")) as (tmux, run):
        tmux.wait_for("up")
        tmux.type("C-c")
        tmux.wait_for("stopping (SIGINT)")
        tmux.wait_for("Ctrl-C kills at once")
        tmux.type("C-c")
        tmux.wait_for("code=130")

        assert is_restored(tmux)
        assert [event.signal for event in run.events(WorkerExited)] == ["SIGKILL"]


def test_what_a_worker_prints_cannot_touch_the_terminal(tmp_path: Path) -> None:
    attack = r"\033[2J\033[H\033[?1049l\033[31mred\033]0;owned\007\033[?25h\r\n\0\a\b\177\x9b2Jend"
    with live(tmp_path, task("evil", f"printf '{attack}\\n'; {_UNTIL_GO}")) as (tmux, _):
        tmux.wait_for("red")
        tmux.wait_for("end")

        assert "evil" in tmux.text and "Ctrl-C stops the run" in tmux.text
        assert (tmux.told("alternate_on"), tmux.told("cursor_flag")) == ("1", "0")
        assert tmux.told("pane_title") != "owned"
        (tmp_path / "go").touch()
        tmux.wait_for("code=0")


def test_wide_and_combining_characters_keep_the_columns(tmp_path: Path) -> None:
    words = "日本語テキスト 👩‍👩‍👧 e\u0301\u0302\u0303\u0304 🇩🇪 नमस्ते " * 5
    plan = [
        python(name, f"import os\nprint({words!r}, flush=True)\nwhile not os.path.exists('go'): pass") for name in "ab"
    ]
    with live(tmp_path, *plan, columns=61, rows=20) as (tmux, _):
        tmux.wait_for("日本語")
        heads = [row for row in tmux.screen if "►" in row]

        assert [row.index("running") for row in heads] == [6, 6]
        assert tmux.screen[-1].startswith(" Ctrl-C")
        (tmp_path / "go").touch()
        tmux.wait_for("code=0")


def is_whole(tmux: Tmux, columns: int, rows: int) -> bool:
    """A picture of this size: the worker in a row of its own, and the hint in the last one."""
    screen = tmux.screen
    fits = len(screen) == rows and all(len(row) <= columns for row in screen)
    return fits and any("a" in row.split() for row in screen) and screen[-1].startswith(" Ctrl-C")


def test_another_size_is_another_picture(tmp_path: Path) -> None:
    with live(tmp_path, task("a", f"echo up; {_UNTIL_GO}"), columns=100, rows=30) as (tmux, _):
        tmux.wait_for("up")
        for columns, rows in ((40, 8), (20, 5), (150, 50)):
            tmux.resize(columns, rows)
            tmux.wait_until(partial(is_whole, tmux, columns, rows))
        (tmp_path / "go").touch()
        tmux.wait_for("code=0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_by_signal_restores_the_terminal(tmp_path: Path, number: signal.Signals) -> None:
    with live(tmp_path, task("a", f"echo up; {_WAIT}")) as (tmux, run):
        tmux.wait_for("up")
        os.kill(supervisor(run), number)
        tmux.wait_for("code=130")

        assert is_restored(tmux)
        assert [event.outcome for event in run.events(RunEnded)] == ["interrupted"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGQUIT])
def test_a_sudden_death_restores_the_terminal(tmp_path: Path, number: signal.Signals) -> None:
    with live(tmp_path, task("a", f"echo up; {_WAIT}")) as (tmux, run):
        tmux.wait_for("up")
        os.kill(supervisor(run), number)
        tmux.wait_until(lambda: is_restored(tmux))
        tmux.run("stty -a | grep -o ' .echo '; echo seen$((1 + 1))")
        tmux.wait_for("seen2")

        assert "-echo" not in tmux.text


def test_ctrl_z_gives_the_terminal_back_and_fg_shows_the_picture_again(tmp_path: Path) -> None:
    with live(tmp_path, task("a", f"echo up; {_UNTIL_GO}")) as (tmux, run):
        tmux.wait_for("up")
        worker = run.wait_for(WorkerStarted, "a").pid
        tmux.type("C-z")
        tmux.wait_for("Stopped")
        restored = is_restored(tmux)
        tmux.run("fg")
        tmux.wait_for("Ctrl-C stops the run")

        assert restored
        assert tmux.told("alternate_on") == "1"
        os.kill(worker, 0)
        (tmp_path / "go").touch()
        tmux.wait_for("ready>")
        tmux.wait_until(lambda: is_restored(tmux))


def test_in_the_background_it_draws_nothing(tmp_path: Path) -> None:
    with live(tmp_path, task("a", f"echo up; {_UNTIL_GO}"), command="callboard run plan.toml") as (tmux, run):
        tmux.wait_for("up")
        tmux.type("C-z")
        tmux.wait_for("Stopped")
        tmux.run("bg; echo mine")
        tmux.wait_for("\nmine")
        (tmp_path / "go").touch()
        run.wait_until(lambda: bool(run.events(RunEnded)))
        tmux.run("fg; echo code=$?")
        tmux.wait_for("code=")

        assert is_restored(tmux)
        assert "Ctrl-C stops" not in tmux.text


def test_a_stopped_terminal_stops_nothing_but_itself(tmp_path: Path) -> None:
    busy = "import os, time\nfor number in range(300): os.write(1, b'%d of 300\\n' % number); time.sleep(0.005)"
    with live(tmp_path, python("busy", busy), task("idle", _UNTIL_GO)) as (tmux, run):
        tmux.wait_for("of 300")
        tmux.type("C-s")
        exited = run.wait_for(WorkerExited, "busy")
        shown = tmux.text
        (tmp_path / "go").touch()
        run.wait_until(lambda: bool(run.events(RunEnded)))
        still = tmux.text
        tmux.type("C-q")
        tmux.wait_for("code=0")

        assert exited.code == 0
        assert shown == still
        assert is_restored(tmux) and "succeeded in" in tmux.text


def test_without_colour_it_looks_the_same(tmp_path: Path) -> None:
    with live(tmp_path, task("a", f"echo up; {_UNTIL_GO}"), command="NO_COLOR=1 callboard run plan.toml") as (tmux, _):
        tmux.wait_for("up")
        raw = tmux.command("capture-pane", "-p", "-e")

        assert "\x1b[3" not in raw.replace("\x1b[39m", "")
        assert "Ctrl-C stops the run" in tmux.text
        (tmp_path / "go").touch()
        tmux.wait_for("code=0")


@pytest.mark.parametrize("command", ["TERM=dumb callboard run plan.toml", "callboard run plan.toml | cat"])
def test_where_no_picture_can_be_drawn_there_are_lines(tmp_path: Path, command: str) -> None:
    with live(tmp_path, task("a", "echo up"), command=command) as (tmux, _):
        tmux.wait_for("code=0")

        assert "a: started" in tmux.text and "a: succeeded" in tmux.text


def test_keys_are_not_shown_and_not_lost(tmp_path: Path) -> None:
    with live(tmp_path, task("a", f"echo up; {_UNTIL_GO}")) as (tmux, _):
        tmux.wait_for("up")
        before = tmux.screen[0]
        tmux.run("echo typed$((1 + 1))ahead")
        tmux.resize(90, 28)
        tmux.wait_until(lambda: "Ctrl-C" in tmux.screen[-1])

        assert tmux.screen[0].split()[:3] == before.split()[:3] and "typed" not in tmux.text
        (tmp_path / "go").touch()
        tmux.wait_for("typed2ahead")


def test_of_two_runs_on_one_terminal_one_is_shown_at_a_time(tmp_path: Path) -> None:
    waits = task("a", f"echo up; {_UNTIL_GO}"), task("b", "while [ ! -e end ]; do sleep 0.02; done", needs=["a"])
    script = "sh -c 'callboard run plan.toml & callboard run --state other plan.toml; wait'"
    with live(tmp_path, *waits, command=script) as (tmux, _):
        tmux.wait_for("│ up")
        one_only = sum(row.startswith(" run ") for row in tmux.screen) == 1
        (tmp_path / "go").touch()
        (tmp_path / "end").touch()
        tmux.wait_for("code=0")

        assert one_only
        assert is_restored(tmux)
        assert "succeeded in" in tmux.text
