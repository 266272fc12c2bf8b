"""Somebody else's sessions of tmux: found by name and pattern, read, let go at the end or ended where that is said."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.events import AttemptStarting, WorkerExited, WorkerGap, WorkerStarted
from protocols.pane import WorkerPane, WorkerUnclaimed
from tests.keeper_client import is_alive, wait_until_gone
from tests.process_trees import wait_until
from tests.running import CALLBOARD, RunningPlan, callboard, running
from tests.tmux import Tmux, open_tmux

pytestmark = pytest.mark.deadline(90)

_UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done"

_UNTIL_SEEN = "while [ ! -e seen ]; do sleep 0.02; done"


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    (tmp_path / "server").mkdir()
    with open_tmux(tmp_path / "server") as found:
        yield found


def _session(tmux: Tmux, name: str, script: str) -> int:
    """Start one that is about this script; the pid of its leader."""
    where = ("-P", "-F", "#{pane_pid}", "-c", str(tmux.cwd.parent))
    return int(tmux.command("new-session", "-d", "-s", name, *where, "--", "sh", "-c", script))


def _adopts(tmux: Tmux, name: str, adopt: str, **keys: object) -> str:
    said = "".join(f", {key} = {value}" for key, value in keys.items())
    return (
        f'[[tasks]]\nid = "{name}"\nsource = "tmux"\ngrace = "300ms"\n'
        f'tmux = {{ socket = "{tmux.cwd / "tmux"}", adopt = "{adopt}"{said} }}\n'
    )


def _options(tmux: Tmux, name: str) -> str:
    return tmux.command("show-options", "-p", "-t", f"={name}:")


def _sessions(tmux: Tmux) -> list[str]:
    return tmux.command("list-sessions", "-F", "#{session_name}").split()


def _go(run: RunningPlan, name: str, text: bytes) -> None:
    """Let it print this, and end once it has arrived: what tmux has not read then is lost."""
    run.wait_for(WorkerPane, name)
    (run.cwd / "go").touch()
    run.wait_for_output(name, text, "terminal")
    (run.cwd / "seen").touch()


def _exited(run: RunningPlan, name: str = "a") -> WorkerExited:
    (found,) = run.events(WorkerExited, name)
    assert found.terminal_bytes == len(run.spool(name, stream="terminal"))
    return found


def test_a_session_that_matches_is_read_and_goes_on_when_the_run_is_stopped(tmp_path: Path, tmux: Tmux) -> None:
    pid = _session(tmux, "agent-1", f"{_UNTIL_GO}; printf 'one\\ntwo'; sleep 1000")
    with running(tmp_path, _adopts(tmux, "a", "agent-*")) as run:
        assert run.wait_for(WorkerStarted, "a").pid == pid
        run.wait_for(WorkerPane, "a")
        assert len(tmux.command("list-clients").splitlines()) == 1
        (tmp_path / "go").touch()
        run.wait_for_output("a", b"two", "terminal")
        run.signal(signal.SIGTERM)
        run.finish(130)

        exited = _exited(run)
        assert run.spool("a", stream="terminal") == b"one\r\ntwo"
        assert (exited.code, exited.signal, exited.reason) == (None, None, "stop")
        assert exited.error == "let go: what runs in its session goes on"
        assert is_alive(pid) and _sessions(tmux) == ["0", "agent-1"]
        assert _options(tmux, "agent-1") == "" and tmux.command("list-clients") == ""


@pytest.mark.parametrize(("end", "code", "signo"), [("exit 7", 7, None), ("kill -USR1 $$", None, "SIGUSR1")])
def test_the_end_of_what_runs_there_is_known_and_its_pane_closes(
    tmp_path: Path, tmux: Tmux, end: str, code: int | None, signo: str | None
) -> None:
    _session(tmux, "agent", f"{_UNTIL_GO}; echo bye; {_UNTIL_SEEN}; {end}")
    with running(tmp_path, _adopts(tmux, "a", "agent")) as run:
        _go(run, "a", b"bye\r\n")
        run.finish(1)

        exited = _exited(run)
        assert (exited.code, exited.signal, exited.reason) == (code, signo, "exit")
        assert run.spool("a", stream="terminal") == b"bye\r\n"
        assert [gap.lost for gap in run.events(WorkerGap)] == [0]
        assert _sessions(tmux) == ["0"]


def test_a_session_that_appears_later_is_noticed(tmp_path: Path, tmux: Tmux) -> None:
    with running(tmp_path, _adopts(tmux, "a", "late-*", appear_within='"60s"')) as run:
        run.wait_for(AttemptStarting, "a")
        _session(tmux, "other", "sleep 1000")
        _session(tmux, "late-1", f"{_UNTIL_GO}; echo here; {_UNTIL_SEEN}")
        _go(run, "a", b"here\r\n")
        run.finish()

        assert run.spool("a", stream="terminal") == b"here\r\n"
        assert _sessions(tmux) == ["0", "other"]


def test_a_session_that_matches_too_and_that_no_task_has_is_told_once(tmp_path: Path, tmux: Tmux) -> None:
    _session(tmux, "agent-1", _UNTIL_GO)
    plan = [_adopts(tmux, name, "agent-*", appear_within='"1m"') for name in ("a", "b")]
    with running(tmp_path, *plan) as run:
        run.wait_for(WorkerPane)
        for number in (2, 3):
            _session(tmux, f"agent-{number}", _UNTIL_GO)
        _session(tmux, "other", _UNTIL_GO)
        told = run.wait_for(WorkerUnclaimed)
        run.wait_for(WorkerPane, count=2)
        _session(tmux, "agent-4", _UNTIL_GO)
        run.wait_for(WorkerUnclaimed, count=2)
        (run.cwd / "go").touch()
        run.finish()

        (taken,) = {"agent-2", "agent-3"} - {told.name}
        assert sorted(event.name for event in run.events(WorkerUnclaimed)) == [told.name, "agent-4"], taken


def test_tasks_with_one_pattern_take_a_session_each(tmp_path: Path, tmux: Tmux) -> None:
    for name in ("agent-1", "agent-2"):
        _session(tmux, name, f"{_UNTIL_GO}; echo {name}; {_UNTIL_SEEN}")
    with running(tmp_path, *(_adopts(tmux, name, "agent-*") for name in "ab")) as run:
        run.wait_until(lambda: len(run.events(WorkerPane)) == 2)
        (tmp_path / "go").touch()
        for name in "ab":
            run.wait_for_output(name, b"\r\n", "terminal")
        (tmp_path / "seen").touch()
        run.finish()

        assert {run.spool(name, stream="terminal") for name in "ab"} == {b"agent-1\r\n", b"agent-2\r\n"}


def test_what_is_our_own_ends_with_all_its_processes_and_the_server_stays(tmp_path: Path, tmux: Tmux) -> None:
    stubborn = "trap '' TERM HUP; setsid sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 0.1; done' &"
    pid = _session(tmux, "agent", f"{_UNTIL_GO}; {stubborn} while :; do sleep 0.1; done")
    with running(tmp_path, _adopts(tmux, "a", "agent", own="true")) as run:
        run.wait_for(WorkerPane, "a")
        (tmp_path / "go").touch()
        child = int(run.wait_for_output("a", b"\n", "terminal"))
        run.signal(signal.SIGTERM)
        run.finish(130)

        exited = _exited(run)
        assert (exited.signal, exited.reason) == ("SIGKILL", "stop")
        assert not is_alive(pid) and not is_alive(child)
        assert any(each.startswith(f"{child} ") for each in exited.swept)
        assert _sessions(tmux) == ["0"]


def test_a_timeout_lets_go_what_is_not_our_own(tmp_path: Path, tmux: Tmux) -> None:
    pid = _session(tmux, "agent", "sleep 1000")
    with running(tmp_path, _adopts(tmux, "a", "agent") + 'timeout = "300ms"\n') as run:
        run.finish(1)

        assert _exited(run).reason == "timeout" and run.task("a").status == "timed-out"
        assert is_alive(pid) and _sessions(tmux) == ["0", "agent"]


def test_a_stop_does_not_wait_for_a_session_that_never_comes(tmp_path: Path, tmux: Tmux) -> None:
    with running(tmp_path, _adopts(tmux, "a", "never", appear_within='"1h"')) as run:
        run.wait_for(AttemptStarting, "a")
        run.signal(signal.SIGTERM)
        run.finish(130)

        (exited,) = run.events(WorkerExited, "a")
        assert (exited.reason, exited.error) == ("stop", "stopped before there was such a session")


def test_a_server_that_never_was_and_a_session_that_is_not_there_are_told_apart(tmp_path: Path, tmux: Tmux) -> None:
    missing = _adopts(tmux, "b", "agent", appear_within='"0s"').replace("/tmux", "/none")
    with running(tmp_path, _adopts(tmux, "a", "agent", appear_within='"0s"'), missing) as run:
        run.finish(1)

        socket = tmux.cwd / "tmux"
        (session,), (server,) = run.events(WorkerExited, "a"), run.events(WorkerExited, "b")
        assert session.error == (
            f'no session "agent" that is free on the tmux server {socket}, which has 0; '
            "start one, correct tmux.adopt, or raise tmux.appear_within"
        )
        assert server.error == (
            f"tmux server {tmux.cwd / 'none'}: error connecting to {tmux.cwd / 'none'} (No such file or directory); "
            "start it, or correct tmux.socket"
        )


@pytest.mark.parametrize(
    ("how", "what"), [("kill-server", "the tmux server is gone"), ("kill-pane", "closed its pane")]
)
def test_a_pane_that_is_closed_from_outside_is_told_with_its_reason(
    tmp_path: Path, tmux: Tmux, how: str, what: str
) -> None:
    pid = _session(tmux, "agent", "sleep 1000")
    with running(tmp_path, _adopts(tmux, "a", "agent")) as run:
        run.wait_for(WorkerPane, "a")
        tmux.command(how, *(("-t", "=agent:") if how == "kill-pane" else ()))
        run.finish(1)

        exited = _exited(run)
        assert (exited.code, exited.signal, exited.reason) == (None, None, "lost")
        assert what in exited.error
        assert not is_alive(pid)


def test_when_callboard_is_killed_the_session_goes_on_and_nothing_of_ours_holds_it(tmp_path: Path, tmux: Tmux) -> None:
    pid = _session(tmux, "agent", "sleep 1000")
    with running(tmp_path, _adopts(tmux, "a", "agent", own="true")) as run:
        run.wait_for(WorkerPane, "a")
        run.signal(signal.SIGKILL)
        run.process.wait()

        wait_until(lambda: tmux.command("list-clients") == "")
        assert is_alive(pid)
        tmux.command("kill-server")
        wait_until_gone(pid)
        callboard(tmp_path, "runs")
        assert _exited(run).reason == "lost"
        assert not run.events(WorkerGap)


@pytest.mark.parametrize("own", [False, True])
def test_the_next_look_at_a_killed_run_ends_the_session_only_if_it_is_our_own(
    tmp_path: Path, tmux: Tmux, *, own: bool
) -> None:
    pid = _session(tmux, "agent", "exec sleep 1000")
    with running(tmp_path, _adopts(tmux, "a", "agent", own=str(own).lower())) as run:
        run.wait_for(WorkerPane, "a")
        run.signal(signal.SIGKILL)
        run.process.wait()
        callboard(tmp_path, "runs")

        assert is_alive(pid) is not own
        assert _exited(run).reason == "lost"


def test_a_resumed_run_finds_the_session_that_it_had_and_takes_no_other(tmp_path: Path, tmux: Tmux) -> None:
    _session(tmux, "agent-2", f"{_UNTIL_GO}; echo two; while [ ! -e seen ]; do sleep 0.02; done; exit 5")
    with running(tmp_path, _adopts(tmux, "a", "agent-*"), "durable = true\n") as run:
        pane = run.wait_for(WorkerPane, "a")
        run.signal(signal.SIGKILL)
        run.process.wait()
        _session(tmux, "agent-1", "exec sleep 1000")

        resumed = subprocess.Popen([CALLBOARD, "resume", run.fleet.name], cwd=tmp_path, stdout=subprocess.DEVNULL)
        with resumed:
            wait_until(lambda: len(run.events(WorkerPane)) == 2)
            (run.cwd / "go").touch()
            wait_until(lambda: b"two" in run.spool("a", stream="terminal"))
            (run.cwd / "seen").touch()
            assert resumed.wait(30) == 1

        assert {event.pane for event in run.events(WorkerPane)} == {pane.pane}
        whys = [gap.why for gap in run.events(WorkerGap, "a")]
        assert any("while callboard was gone" in why for why in whys), whys
        assert (_exited(run).code, len(run.events(AttemptStarting))) == (5, 1)
