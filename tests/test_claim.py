"""Who may draw on a terminal."""

import os
import pty
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
    with open_claim(terminal) as first, open_claim(terminal) as second:
        assert (first.take(), second.take(), first.take()) == (True, False, True)
        first.drop()
        assert (second.take(), first.take()) == (True, False)


def test_who_ends_leaves_it_to_the_next(terminal: int) -> None:
    with open_claim(terminal) as second:
        with open_claim(terminal) as first:
            first.take()
            refused = not second.take()

        assert refused and second.take()


def test_what_has_no_name_is_everybodys(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, open_claim(file.fileno()) as claim:
        assert claim.take()
        claim.drop()
