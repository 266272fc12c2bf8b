"""What is held of a worker whose keeper was lost, and what its status file adds to that."""

import os
import signal
from pathlib import Path

import msgspec
import pytest
import trio

from actors.adoption import Held, may_have_started
from actors.keeper_process.status import Status, StatusFile
from protocols.ids import AttemptId
from protocols.keeper import Ended, Reaped, Report, Spawn, Stdin, Stop
from protocols.keeper_codec import to_os
from protocols.kinds import EndReason

A = AttemptId("a")
_TERM = Stop(attempt=A, grace=5.0, reason="stop")


def _spawn(folder: Path) -> Spawn:
    path = to_os(os.fsencode(folder / "file"))
    return Spawn(
        attempt=A,
        executable="/bin/true",
        argv=("true",),
        cwd="/",
        env=(),
        stdin=Stdin("none"),
        stdout=path,
        stderr=path,
        status=to_os(os.fsencode(folder / "status")),
        attached=True,
        timeout=None,
        grace=1.0,
        linger=1.0,
    )


def _held(folder: Path, not_after: float | None = None) -> Held:
    reports, _ = trio.open_memory_channel[Report](1)
    return Held(_spawn(folder), reports, pid=1, start_ticks=1, fds=(), not_after=not_after)


def _write(folder: Path, state: str, reason: str | None = None, code: int | None = None) -> None:
    file = StatusFile(os.fsencode(folder / "status"))
    file.write(Status(state, A, 1, 1, "boot", code, None if code is not None else "SIGRTMIN+3", 9.0, 7, 8, reason))
    file.close()


@pytest.mark.parametrize(
    ("state", "reason", "stop", "begun"),
    [
        ("running", None, None, None),
        ("running", None, _TERM, "stop"),  # the lost keeper may have heard it: what ends now was stopped
        ("exited", None, None, None),
        ("exited", None, _TERM, None),  # it had ended by itself
        ("exited", "stop", _TERM, "stop"),
        ("exited", "timeout", _TERM, "timeout"),
        ("exited", "timeout", None, "timeout"),
    ],
)
def test_why_a_leader_ended_is_what_the_lost_keeper_wrote_down(
    tmp_path: Path, state: str, reason: str | None, stop: Stop | None, begun: EndReason | None
) -> None:
    _write(tmp_path, state, reason, code=0)
    held = _held(tmp_path)
    if stop is not None:
        held.change(stop)

    assert held.recall() is None
    assert held.begun == begun
    assert (held.exit is not None) == (state == "exited")


def test_the_exit_is_told_to_the_next_keeper_as_it_was(tmp_path: Path) -> None:
    _write(tmp_path, "exited")
    held = _held(tmp_path)
    held.recall()

    assert held.exit is not None and held.exit.signal is not None
    assert held.exit == Reaped(attempt=A, code=None, signal=held.exit.signal, at=9.0)
    assert held.exit.signal == signal.SIGRTMIN + 3


def test_an_attempt_whose_end_is_written_down_needs_no_next_keeper(tmp_path: Path) -> None:
    _write(tmp_path, "ended", "timeout", code=3)

    assert _held(tmp_path).recall() == Ended(
        attempt=A,
        code=3,
        signal=None,
        exited_at=9.0,
        at=9.0,
        reason="timeout",
        stdout_bytes=7,
        stderr_bytes=8,
        swept=(),
    )


def test_the_ends_of_a_terminal_outlive_the_end_of_input_and_go_to_the_next_keeper(tmp_path: Path) -> None:
    reports, _ = trio.open_memory_channel[Report](1)
    spawn = msgspec.structs.replace(_spawn(tmp_path), stdout="", stderr="", terminal="/terminal", window=(80, 24))
    fds = tuple(os.dup(0) for _ in range(4))
    held = Held(spawn, reports, pid=1, start_ticks=1, fds=fds, not_after=None)

    held.close_stdin()

    adopt = held.adopt()
    assert (held.fds, adopt.fds) == (fds[:3], 3)
    assert (adopt.stdout, adopt.stderr, adopt.terminal) == ("", "", "/terminal")
    held.close()


def test_the_next_keeper_gets_what_is_left_of_timeout_and_grace(tmp_path: Path) -> None:
    held = _held(tmp_path, not_after=0.0)
    assert held.remaining_stop() is None
    held.change(_TERM)
    held.kill_at -= 60.0

    assert held.adopt().timeout == 0.0
    assert held.remaining_stop() == Stop(attempt=A, grace=0.0, reason="stop")
    assert _held(tmp_path).adopt().timeout is None


@pytest.mark.parametrize(
    ("state", "reason", "may"),
    [("starting", None, True), ("running", None, True), ("ended", "exit", True), ("ended", "not-started", False)],
)
def test_what_may_run_is_not_started_again(tmp_path: Path, state: str, reason: str | None, may: bool) -> None:
    assert not may_have_started(_spawn(tmp_path))
    _write(tmp_path, state, reason, code=0)

    assert may_have_started(_spawn(tmp_path)) == may


def test_of_a_worker_that_writes_its_files_itself_only_its_input_goes_to_the_next_keeper(tmp_path: Path) -> None:
    reports, _ = trio.open_memory_channel[Report](1)
    spawn = msgspec.structs.replace(_spawn(tmp_path), direct=True)
    held = Held(spawn, reports, pid=1, start_ticks=1, fds=(os.dup(0),), not_after=None)

    assert (held.adopt().direct, held.adopt().fds) == (True, 1)
    held.close_stdin()
    assert (held.fds, held.adopt().fds) == ((), 0)
