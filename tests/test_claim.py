"""Who may draw on a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.live.claim import open_claim


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def test_the_first_one_has_it_until_it_drops_it(terminal: int) -> None:
    first, second = open_claim(terminal), open_claim(terminal)

    assert (first.take(), second.take(), first.take()) == (True, False, True)
    first.drop()
    assert (second.take(), first.take()) == (True, False)


def test_who_is_gone_leaves_it_to_the_next(terminal: int) -> None:
    script = "from actors.live.claim import open_claim; print(open_claim(0).take())"
    command = [sys.executable, "-c", script]
    first = subprocess.run(command, stdin=terminal, capture_output=True, text=True, check=True)

    assert first.stdout == "True\n"
    assert open_claim(terminal).take()


def test_what_has_no_name_is_everybodys(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        claim = open_claim(file.fileno())

        assert claim.take()
        claim.drop()
