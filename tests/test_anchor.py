"""A file that was cut is noticed, also when it has grown past its old size since."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.anchor import Anchor


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20)
    fd = os.open(path, os.O_RDONLY)
    yield path, fd
    os.close(fd)


def test_growth_is_no_cut(file: tuple[Path, int]) -> None:
    path, fd = file
    anchor = Anchor.on(fd, 150)

    with path.open("ab") as more:
        more.write(b"more")

    assert anchor.holds(fd)
    assert anchor.behind(os.pread(fd, 1000, 150)).at == 204
    assert anchor.behind(os.pread(fd, 1000, 150)).holds(fd)


@pytest.mark.parametrize("text", [b"", b"short", b"something else, and longer than what was there before" * 10])
def test_a_cut_is_noticed_whatever_was_written_since(file: tuple[Path, int], text: bytes) -> None:
    path, fd = file
    anchors = [Anchor.on(fd, 200), Anchor.on(fd, 20), Anchor().behind(os.pread(fd, 70, 0))]

    path.write_bytes(text)

    assert [anchor.holds(fd) for anchor in anchors] == [False] * 3


def test_the_beginning_of_a_file_always_holds(file: tuple[Path, int]) -> None:
    path, fd = file

    path.write_bytes(b"")

    assert Anchor().holds(fd)


def test_a_file_that_is_shorter_than_it_should_be_was_cut_meanwhile(file: tuple[Path, int]) -> None:
    path, fd = file

    anchor = Anchor.on(fd, 1000)
    path.write_bytes(b"x" * 1000)

    assert not anchor.holds(fd)
