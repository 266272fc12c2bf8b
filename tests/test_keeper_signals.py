import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.keeper_process.attempt import Attempt
from actors.keeper_process.procfs import read_process
from actors.keeper_process.requests import Terms
from actors.keeper_process.signals import kill
from actors.keeper_process.status import StatusFile
from tests.process_trees import Trees, open_trees, wait_until


@pytest.fixture
def trees() -> Iterator[Trees]:
    with open_trees() as opened:
        yield opened


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    """Its leader is gone, and was none of the processes of the test."""
    path = os.fsencode(tmp_path / "status")
    terms = Terms("a", {"stdout": b"/out"}, path, attached=True, timeout=60.0, grace=1.0, linger=1.0)
    attempt = Attempt(terms, 1, 0, at=1000.0, now=5.0, boot_id="boot", status=StatusFile(path))
    attempt.ladder.exited(6.0)
    yield attempt
    attempt.close()


def _is_alive(pid: int) -> bool:
    process = read_process(pid)
    return process is not None and process.alive


def test_what_ended_after_it_was_found_is_told_when_its_group_was_still_there_to_kill(
    attempt: Attempt, trees: Trees
) -> None:
    found = trees.start("sleep 60 & echo $!; exit 0")
    child = trees.read_pid(found)
    os.waitid(os.P_PID, found.process.pid, os.WEXITED | os.WNOWAIT)

    kill(attempt, [found.process])

    wait_until(lambda: not _is_alive(child))
    assert len(attempt.ended_report()["swept"]) == 1  # type: ignore[arg-type]


def test_what_ended_with_its_whole_group_before_the_kill_was_not_swept(attempt: Attempt, trees: Trees) -> None:
    found = trees.start("exit 0")
    os.waitpid(found.process.pid, 0)

    kill(attempt, [found.process])

    assert attempt.ended_report()["swept"] == []
