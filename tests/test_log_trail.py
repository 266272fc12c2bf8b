"""Which file is read, and which comes after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.sources.log_files import LogFiles
from actors.sources.log_trail import Trail
from protocols.errors import SpawnError


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(str(tmp_path / "log"), LogFiles())
    yield made
    made.close()
    assert not made.files._open


def _rotate(trail: Trail, number: int) -> None:
    path = Path(trail.path)
    path.rename(path.with_name(f"log.{number}"))
    path.touch()


def test_files_wait_in_the_order_in_which_they_came(trail: Trail) -> None:
    Path(trail.path).touch()
    trail.begin()
    first = trail.current

    for number in (1, 2):
        _rotate(trail, number)
        trail.look(number, float(number))

    assert trail.current is first
    assert [(each.at, each.missed) for each in trail.following] == [(1.0, False), (2.0, False)]
    second = trail.go_on(at_end=True)
    assert trail.current is second.file
    trail.go_on(at_end=False)
    assert not trail.following


def test_a_file_that_nobody_saw_is_missed_in_front_of_the_next(trail: Trail) -> None:
    Path(trail.path).touch()
    trail.begin()

    _rotate(trail, 1)
    _rotate(trail, 2)
    trail.look(2, 1.0)
    _rotate(trail, 3)
    trail.look(3, 2.0)

    assert [each.missed for each in trail.following] == [True, False]


def test_a_file_for_which_was_waited_is_the_first_however_often_the_name_was_given_before(trail: Trail) -> None:
    trail.begin()

    Path(trail.path).touch()
    trail.look(3, 1.0)
    trail.look(3, 2.0)

    assert trail.current is not None
    assert not trail.missed and not trail.following


def test_what_is_written_late_to_a_file_that_was_left_is_counted_once(trail: Trail) -> None:
    Path(trail.path).touch()
    trail.begin()
    _rotate(trail, 1)
    trail.look(1, 1.0)
    trail.go_on(at_end=False)

    assert trail.late() == 0
    Path(trail.path).with_name("log.1").write_bytes(b"late")
    assert (trail.late(), trail.late()) == (4, 0)


def test_a_problem_lasts_as_long_as_its_cause(trail: Trail) -> None:
    path = Path(trail.path)
    path.mkdir()
    with pytest.raises(SpawnError, match=r"is a folder; name a file$"):
        trail.begin()

    assert trail.unusable
    path.rmdir()
    trail.look(0, 1.0)
    assert (trail.problem, trail.unusable) == ("", False)
