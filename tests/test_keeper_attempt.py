import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.keeper_process.attempt import Attempt, Exit, signal_name
from actors.keeper_process.procfs import Process
from actors.keeper_process.requests import Terms
from actors.keeper_process.status import StatusFile, read_status

LEFT = Process(10, 1, 10, 10, 100, "S", 1, "sleep")
OTHER = LEFT._replace(pid=11)


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    path = os.fsencode(tmp_path / "status")
    terms = Terms(
        "a", {"stdout": b"/out", "stderr": b"/err"}, path, attached=True, timeout=60.0, grace=10.0, linger=2.0
    )
    attempt = Attempt(terms, 9, 90, at=1000.0, now=5.0, boot_id="boot", status=StatusFile(path))
    yield attempt
    attempt.close()


def end(attempt: Attempt) -> None:
    attempt.exit = Exit(0, None, 1001.0)
    attempt.ladder.exited(6.0)
    attempt.sizes = {"stdout": 3, "stderr": 0}
    attempt.ended_at = 1002.0


def test_a_state_follows_from_what_is_known(attempt: Attempt) -> None:
    states = [attempt.state]
    attempt.exit = Exit(0, None, 1001.0)
    states.append(attempt.state)
    attempt.ended_at = 1002.0
    states.append(attempt.state)

    assert states == ["running", "exited", "ended"]


def test_it_is_complete_when_both_streams_and_the_exit_are_known(attempt: Attempt) -> None:
    seen = [attempt.incomplete]
    attempt.sizes["stdout"] = 1
    seen.append(attempt.incomplete)
    attempt.sizes["stderr"] = 1
    seen.append(attempt.incomplete)
    attempt.exit = Exit(0, None, 1001.0)
    seen.append(attempt.incomplete)

    assert seen == [True, True, True, False]


def test_the_timeout_counts_from_the_start(attempt: Attempt) -> None:
    assert attempt.ladder.due == 65.0


def test_a_new_supervisor_is_told_the_exit_and_the_end(attempt: Attempt) -> None:
    assert attempt.reports() == []

    end(attempt)

    exited = {"type": "exited", "attempt": "a", "code": 0, "signal": None, "at": 1001.0}
    ended: dict[str, object] = {
        "code": 0,
        "signal": None,
        "exited_at": 1001.0,
        "at": 1002.0,
        "reason": "exit",
        "unread": None,
        "swept": [],
        "detail": "",
    }
    sizes = {"stdout_bytes": 3, "stderr_bytes": 0, "terminal_bytes": 0}
    assert attempt.reports() == [exited, {"type": "ended", "attempt": "a", **ended, **sizes}]


def test_who_outlived_the_leader_is_listed_once_and_who_was_to_go_with_it_is_not(attempt: Attempt) -> None:
    attempt.hit(LEFT, "10 sleep 1")
    end(attempt)
    attempt.hit(LEFT, "10 sleep 1")
    attempt.hit(OTHER, "11 sleep 2")
    attempt.hit(OTHER, "11 [sleep]")

    assert attempt.ended_report()["swept"] == ["11 sleep 2"]


def test_nobody_waits_for_a_process_that_may_not_be_ended(attempt: Attempt) -> None:
    end(attempt)

    attempt.out_of_reach(LEFT, "10 sudo x")

    assert attempt.left([LEFT, OTHER]) == [OTHER]
    assert attempt.ended_report()["swept"] == ["10 sudo x (not ended: it runs as another user)"]


def test_each_state_is_on_disk(attempt: Attempt, tmp_path: Path) -> None:
    attempt.record()
    running = read_status(tmp_path / "status")
    end(attempt)
    attempt.record()
    ended = read_status(tmp_path / "status")

    assert running is not None and ended is not None
    assert (running.state, running.pid, running.code, running.exited_at, running.reason) == (
        "running",
        9,
        None,
        None,
        None,
    )
    assert (ended.state, ended.code, ended.exited_at, ended.reason) == ("ended", 0, 1001.0, "exit")
    assert (ended.stdout_bytes, ended.stderr_bytes) == (3, 0)


def test_closing_twice_is_no_mistake(attempt: Attempt) -> None:
    reader, attempt.stdin = os.pipe()
    os.close(reader)
    attempt.pidfd = os.dup(0)
    attempt.slave = os.dup(0)
    attempt.ends = {"stdout": (os.dup(0),), "terminal": (os.dup(0), os.dup(0), os.dup(0))}

    attempt.close_stdin()
    attempt.close_stdin()
    attempt.close_slave()
    attempt.close_slave()
    for stream in ("stdout", "stdout", "terminal"):
        attempt.close_ends(stream)
    attempt.close_pidfd()

    assert not any([attempt.stdin, attempt.slave, attempt.pidfd, attempt.ends])


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (34, "SIGRTMIN"), (35, "SIGRTMIN+1"), (64, "SIGRTMAX")])
def test_signals_have_the_names_of_the_manual(number: int, name: str) -> None:
    assert signal_name(number) == name
