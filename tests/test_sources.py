"""One contract for all sources: started, then output, then exactly one end; each byte kept, nothing left behind."""

import os
import signal
from pathlib import Path

import pytest

from protocols.events import (
    AttemptStarting,
    TaskStatusChanged,
    WorkerExited,
    WorkerGap,
    WorkerMismatch,
    WorkerOutput,
    WorkerStarted,
    WorkerStopping,
)
from protocols.fleet_events import KeeperLost, KeeperStarted
from tests.keeper_client import is_alive, wait_until_gone
from tests.process_trees import wait_until
from tests.require import needs
from tests.running import SHORT, RunningPlan, callboard, running
from tests.sources import KINDS, Kind
from tests.writers import WHO, acknowledged, has_line_numbers, living

_PRINT = "import os\nrest = {data}\nwhile rest: rest = rest[os.write(1, rest):]\n"
_EVERY_BYTE = r"bytes(range(256)) * 500 + b'\n\r\n\x04\x03\x1a\x13\x00'"
_READY = "import os, time\nos.write(1, b'ready\\n')\n"
_UNTIL_GO = "while not os.path.exists('go'): time.sleep(0.005)\n"
_CLOSE = "os.closerange(0, 3)\n"
_HOLD = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nif os.fork() == 0: time.sleep(1000)\n"
_POUR = "block = b'x' * 4096\nwhile True: os.write(1, block)\n"
_PHASES = {
    "quiet": _READY + "time.sleep(1000)",
    "pouring": _READY + _POUR,
    "its output closed": _READY + _CLOSE + "time.sleep(1000)",
    "ended and its output held": _READY + _HOLD,
}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    if found.source == "tmux":
        needs("tmux", "install tmux")
    return found


def _kill_keeper(run: RunningPlan, number: int = 1) -> None:
    """The ``number``-th one; when this returns it is gone."""
    pid = run.wait_for(KeeperStarted, count=number).pid
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)


def _go(run: RunningPlan) -> None:
    (run.cwd / "go").touch()


def _assert_whole(run: RunningPlan, kind: Kind, name: str = "a") -> WorkerExited:
    """The one attempt of a worker was told in order, and records, spool and keeper agree in its bytes."""
    told = [event for event in run.events(object, name) if not isinstance(event, TaskStatusChanged | WorkerStopping)]
    course = [type(event) for event in told if isinstance(event, AttemptStarting | WorkerStarted | WorkerOutput)]
    exits = [event for event in told if isinstance(event, WorkerExited)]
    assert course == [AttemptStarting, WorkerStarted] + [WorkerOutput] * (len(course) - 2)
    assert exits == told[-1:]
    assert kind.covered(run, name) == len(kind.spool(run, name)) == _size(exits[0], kind)
    assert not run.events(WorkerMismatch)
    return exits[0]


def _size(exited: WorkerExited, kind: Kind) -> int:
    sizes = {"stdout": exited.stdout_bytes, "stderr": exited.stderr_bytes, "terminal": exited.terminal_bytes}
    sizes["log"] = exited.log_bytes
    assert sum(sizes.values()) == sizes[kind.stream]
    return sizes[kind.stream]


def test_every_byte_arrives_as_it_was_written(tmp_path: Path, kind: Kind) -> None:
    with running(tmp_path, kind.python("a", _PRINT.format(data=_EVERY_BYTE))) as run:
        run.finish()

        assert kind.spool(run, "a") == bytes(range(256)) * 500 + b"\n\r\n\x04\x03\x1a\x13\x00"
        assert _assert_whole(run, kind).code == 0


def test_bytes_at_full_speed_are_exact(tmp_path: Path, kind: Kind) -> None:
    size = kind.much
    with running(tmp_path, *(kind.writer(name, size=size) for name in "ab")) as run:
        run.finish()

        for name in "ab":
            assert has_line_numbers(kind.spool(run, name))
            assert _size(_assert_whole(run, kind, name), kind) == size


def test_a_last_line_without_its_end_and_half_a_character_are_kept_and_shown(tmp_path: Path, kind: Kind) -> None:
    with running(tmp_path, kind.python("a", _PRINT.format(data=r"b'one\ntw\xc3'")), options=("--show-output",)) as run:
        run.finish()

        assert kind.spool(run, "a") == b"one\ntw\xc3"
        _assert_whole(run, kind)
        assert getattr(run.attempt("a"), kind.stream).lines == 2
        assert "a | one\na | tw\ufffd\n" in run.stdout.decode()


def test_a_worker_that_prints_nothing_has_an_empty_spool(tmp_path: Path, kind: Kind) -> None:
    with running(tmp_path, kind.shell("a", "exit 3")) as run:
        run.finish(1)

        assert _assert_whole(run, kind).code == 3
        assert not run.events(WorkerOutput)


def test_the_end_of_output_is_not_the_end_of_the_worker(tmp_path: Path, kind: Kind) -> None:
    with running(tmp_path, kind.python("a", f"{_READY}{_CLOSE}{_UNTIL_GO}os._exit(7)")) as run:
        kind.wait_for(run, "a", b"ready\n")
        _go(run)
        run.finish(1)

        exited = _assert_whole(run, kind)
        assert (exited.code, exited.reason, exited.swept) == (7, "exit", ())


def test_the_end_of_the_worker_is_not_the_end_of_output(tmp_path: Path, kind: Kind) -> None:
    script = """
        trap '' HUP
        leader=$$
        (while kill -0 $leader 2>/dev/null; do sleep 0.01; done; printf later) & printf 'first '; exit 5
    """
    with running(tmp_path, kind.shell("a", script)) as run:
        run.finish(1)

        assert kind.spool(run, "a") == b"first later"
        exited = _assert_whole(run, kind)
        assert (exited.code, exited.reason, exited.swept) == (5, "exit", ())


def test_who_holds_the_output_for_too_long_is_ended_and_listed(tmp_path: Path, kind: Kind) -> None:
    script = "trap '' HUP; sleep 60 & printf %s $!"
    with running(tmp_path, kind.shell("a", script), settings=SHORT) as run:
        run.finish()

        pid = int(kind.spool(run, "a"))
        assert not is_alive(pid)
        assert _assert_whole(run, kind).swept == (f"{pid} sleep 60",)


@pytest.mark.parametrize("phase", _PHASES)
def test_a_stop_ends_a_worker_in_every_phase(tmp_path: Path, kind: Kind, phase: str) -> None:
    plan = [kind.python("a", _PHASES[phase]), kind.shell("b", "true", needs=["a"])]
    with running(tmp_path, *plan, settings='[stop]\nlinger = "1h"\n') as run:
        kind.wait_for(run, "a", b"ready\n")
        if phase == "ended and its output held":
            worker = run.wait_for(WorkerStarted, "a").pid
            run.wait_until(lambda: not is_alive(worker))
        run.signal(signal.SIGTERM)
        run.finish(130)

        exited = _assert_whole(run, kind)
        ended = (exited.code, exited.signal, exited.reason)
        assert ended == ((0, None, "exit") if phase == "ended and its output held" else (None, "SIGTERM", "stop"))


@pytest.mark.parametrize("stubborn", [True, False])
def test_a_stop_at_the_start_leaves_nothing(tmp_path: Path, kind: Kind, stubborn: bool) -> None:
    script = "trap '' TERM HUP; while :; do sleep 1; done" if stubborn else "exec sleep 1000"
    settings = '[stop]\ngrace = "100ms"\n'
    with running(tmp_path, *(kind.shell(f"t{number}", script) for number in range(8)), settings=settings) as run:
        run.wait_for(AttemptStarting, count=4)
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert len(run.events(WorkerExited)) == len(run.events(AttemptStarting))
        assert {event.reason for event in run.events(WorkerExited)} == {"stop"}


def test_a_timeout_ends_a_worker_that_ignores_everything_but_the_last_step(tmp_path: Path, kind: Kind) -> None:
    script = "trap '' TERM HUP INT; printf up; while :; do sleep 1; done"
    with running(tmp_path, kind.shell("a", script, timeout="300ms", grace="100ms")) as run:
        run.finish(1)

        exited = _assert_whole(run, kind)
        assert (exited.signal, exited.reason, run.task("a").status) == ("SIGKILL", "timeout", "timed-out")


def test_each_attempt_has_its_own_output(tmp_path: Path, kind: Kind) -> None:
    script = "if [ -e tried ]; then printf second; else touch tried; printf first; exit 1; fi"
    with running(tmp_path, kind.shell("a", script, retries=1, backoff="10ms")) as run:
        run.finish()

        assert [run.spool("a", number, kind.stream) for number in (1, 2)] == [b"first", b"second"]
        assert (
            callboard(tmp_path, "logs", run.fleet.name, "a", *(["--log"] if kind.copied_by_us else [])).stdout
            == "second"
        )


@pytest.mark.parametrize("kills", [1, 2])
def test_output_at_full_speed_is_exact_when_keepers_are_killed(tmp_path: Path, kind: Kind, kills: int) -> None:
    size = kind.much
    with running(tmp_path, *(kind.writer(name, size=size) for name in "ab")) as run:
        for number in range(1, kills + 1):
            run.wait_until(lambda least=number * 2**20: all(acknowledged(run, name) > least for name in "ab"))  # type: ignore[misc]
            _kill_keeper(run, number)
        run.finish()

        assert len(run.events(KeeperLost)) == kills
        for name in "ab":
            assert has_line_numbers(kind.spool(run, name))
            assert _size(_assert_whole(run, kind, name), kind) == size


@pytest.mark.parametrize("phase", ["quiet", "its output closed"])
def test_a_worker_does_not_notice_that_its_keeper_is_killed(tmp_path: Path, kind: Kind, phase: str) -> None:
    rest = _UNTIL_GO + ("os._exit(7)" if phase != "quiet" else "os.write(1, b'more')\nos._exit(7)")
    script = _READY + (_CLOSE if phase != "quiet" else "") + rest
    with running(tmp_path, kind.python("a", script)) as run:
        kind.wait_for(run, "a", b"ready\n")
        for number in (1, 2):
            _kill_keeper(run, number)
            run.wait_for(KeeperStarted, count=number + 1)
        _go(run)
        run.finish(1)

        exited = _assert_whole(run, kind)
        assert (exited.code, exited.signal, exited.reason) == (7, None, "exit")
        assert kind.spool(run, "a") == (b"ready\nmore" if phase == "quiet" else b"ready\n")


def test_last_words_while_there_is_no_keeper_are_kept_with_the_true_status(tmp_path: Path, kind: Kind) -> None:
    """While callboard is stopped, nobody replaces the keeper."""
    with running(tmp_path, kind.python("a", f"{_READY}{_UNTIL_GO}os.write(1, b'last words')\nos._exit(7)")) as run:
        kind.wait_for(run, "a", b"ready\n")
        worker = run.wait_for(WorkerStarted, "a").pid

        run.signal(signal.SIGSTOP)
        _kill_keeper(run)
        _go(run)
        run.wait_until(lambda: not is_alive(worker))
        run.signal(signal.SIGCONT)
        run.finish(1)

        assert _assert_whole(run, kind).code == 7
        assert kind.spool(run, "a") == b"ready\nlast words"


def test_what_the_lost_keeper_left_half_done_is_stopped_by_the_next(tmp_path: Path, kind: Kind) -> None:
    script = f"trap '' TERM HUP; {WHO}; setsid sh -c 'trap \"\" TERM; {WHO}; while :; do sleep 0.1; done' & "
    script += "while :; do sleep 0.1; done"
    plan = kind.shell("a", script, env={"PIDS": str(tmp_path / "pids")})
    with running(tmp_path, plan, settings='[stop]\ngrace = "1s"\n') as run:
        run.wait_until(lambda: len(living(tmp_path / "pids")) == 2)
        run.signal(signal.SIGINT)
        run.wait_for(WorkerStopping, "a")

        _kill_keeper(run)
        run.finish(130)

        assert not living(tmp_path / "pids")
        exited = _assert_whole(run, kind)
        assert (exited.signal, exited.reason) == ("SIGKILL", "stop")


def test_when_callboard_is_killed_nothing_of_its_workers_is_left_and_their_output_is_whole(
    tmp_path: Path, kind: Kind
) -> None:
    stubborn = f"trap '' TERM HUP; {WHO}; setsid sh -c '{WHO}; exec sleep 1000' & while :; do sleep 0.1; done"
    plan = [kind.writer("a"), kind.shell("b", stubborn, env={"PIDS": str(tmp_path / "pids")})]
    with running(tmp_path, *plan) as run:
        run.wait_until(lambda: acknowledged(run, "a") > 2**20 and len(living(tmp_path / "pids")) == 2)
        writer = run.wait_for(WorkerStarted, "a").pid

        run.signal(signal.SIGKILL)
        run.process.wait()
        wait_until(lambda: not living(tmp_path / "pids") and not is_alive(writer))
        callboard(tmp_path, "runs")

        exited = _assert_whole(run, kind)
        assert (exited.signal, exited.reason) == ("SIGTERM", "orphaned")
        assert has_line_numbers(kind.spool(run, "a"))
        copied = kind.copied_by_us or not kind.kept
        assert copied or len(kind.spool(run, "a")) >= acknowledged(run, "a")
        assert [gap.stream for gap in run.events(WorkerGap, "a")] == (["log"] if kind.copied_by_us else [])


def test_when_callboard_and_keeper_are_killed_at_once_the_next_look_ends_all_that_is_left(
    tmp_path: Path, kind: Kind
) -> None:
    stubborn = f"trap '' TERM HUP; {WHO}; while :; do sleep 0.1; done"
    plan = [kind.writer("a"), kind.shell("b", stubborn, env={"PIDS": str(tmp_path / "pids")})]
    with running(tmp_path, *plan) as run:
        run.wait_until(lambda: acknowledged(run, "a") > 2**20 and len(living(tmp_path / "pids")) == 1)
        writer = run.wait_for(WorkerStarted, "a").pid

        run.signal(signal.SIGSTOP)  # else it would start another keeper
        _kill_keeper(run)
        run.signal(signal.SIGKILL)
        run.process.wait()
        callboard(tmp_path, "runs")

        assert not living(tmp_path / "pids") and not is_alive(writer)
        assert _assert_whole(run, kind).reason == "lost"
        assert has_line_numbers(kind.spool(run, "a"))
        assert acknowledged(run, "a") - len(kind.spool(run, "a")) <= kind.holds or not kind.kept
