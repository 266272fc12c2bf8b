"""Output is found and read without a journal."""

from pathlib import Path

import pytest

from actors.anchor import Anchor
from protocols.errors import InputError
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from supervisor.salvage import find_output, read_behind, read_part

A = TaskId("a")


@pytest.fixture
def folder(tmp_path: Path) -> FleetFolder:
    for name in ("a/1", "a/2", "a/10", "a/notes", "empty"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    (tmp_path / "spool/linked").symlink_to("a")
    return FleetFolder(tmp_path)


def test_the_last_attempt_is_meant_unless_one_is_named(folder: FleetFolder) -> None:
    assert find_output(folder, A, None) == folder.root / "spool/a/10/stdout"
    assert find_output(folder, A, 2, stderr=True) == folder.root / "spool/a/2/stderr"


def test_where_there_was_a_terminal_its_output_is_found(folder: FleetFolder) -> None:
    terminal = folder.root / "spool/a/2/terminal"
    terminal.touch()

    assert find_output(folder, A, 2) == terminal
    assert find_output(folder, A, None) == folder.root / "spool/a/10/stdout"


@pytest.mark.parametrize(
    ("task", "number", "what"),
    [
        ("aa", None, 'has no output of it; did you mean "a"?'),
        ("../spool/a", None, "has no output of it; it has a, empty"),
        ("linked", None, "has no output of it; it has a, empty"),
        ("a", 3, "has no output of attempt 3; it has 1, 2, 10"),
        ("a", 0, "has no output of attempt 0; it has 1, 2, 10"),
        ("empty", None, "has no output of attempt 1; it has none at all"),
    ],
)
def test_what_is_not_there_is_an_error_with_what_there_is(
    folder: FleetFolder, task: str, number: int | None, what: str
) -> None:
    with pytest.raises(InputError) as caught:
        find_output(folder, TaskId(task), number)

    assert str(caught.value) == f'task "{task}": {folder.root}/spool {what}'


def test_without_a_spool_there_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no output of it; it has none at all"):
        find_output(FleetFolder(tmp_path), A, None)


def test_a_part_is_read_as_far_as_the_file_goes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")

    assert b"".join(read_part(tmp_path / "x")) == b"0123456789"
    assert b"".join(read_part(tmp_path / "x", 2, 3)) == b"234"
    assert b"".join(read_part(tmp_path / "x", 8, 100)) == b"89"
    assert b"".join(read_part(tmp_path / "x", 20)) == b""
    assert b"".join(read_part(tmp_path / "none")) == b""


def test_what_is_behind_a_place_is_read_in_pieces_each_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"0123456789")

    ((text, place),) = read_behind(path, Anchor(4), 8)

    assert (text, place.at) == (b"4567", 8)
    assert list(read_behind(path, place, 8)) == []
    assert [text for text, _ in read_behind(path, place)] == [b"89"]
    assert list(read_behind(path, Anchor(40))) == []
    assert list(read_behind(tmp_path / "none", Anchor())) == []


@pytest.mark.parametrize("text", [b"new", b"new and longer than the old one"])
def test_a_file_that_was_cut_behind_a_place_is_read_from_its_beginning(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "stdout"
    path.write_bytes(b"0123456789")
    ((_, place),) = read_behind(path, Anchor())

    path.write_bytes(text)

    ((found, after),) = read_behind(path, place)
    assert (found, after.at) == (text, len(text))
