"""The screens of many terminals: followed in their spool files, settled or not, within bounds of memory and time."""

import os
import sys
from pathlib import Path

import pytest

from actors.screens import SETTLED_AFTER, Screens, View, can_read_screens

WINDOW = (40, 10)


class Disk:
    """Spool files and the clocks with which they are looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall = 1000.0
        self.used = 0.0
        self.cost = 0.0
        """CPU seconds that pass whenever somebody asks how many have."""
        self.screens: Screens[str] = Screens(clock=lambda: self.wall, spent=self.spend, now=lambda: self.wall)

    def spend(self) -> float:
        self.used += self.cost
        return self.used

    def write(self, name: str, data: bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(data)
        os.utime(self.folder / name, (self.wall, self.wall))

    def look(self, name: str, attempt: int = 1, window: tuple[int, int] = WINDOW) -> View | None:
        return self.screens.look(name, attempt, str(self.folder / name), window)

    def see(self, name: str, after: float = 5.0) -> View:
        """A view in a round of its own."""
        self.wall += after
        self.screens.begin()
        view = self.look(name)
        assert view is not None
        return view


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def text(view: View) -> list[str]:
    return view.shown.text.split("\n")[:-1]


def test_a_screen_is_settled_once_nothing_has_changed_for_a_while(disk: Disk) -> None:
    disk.write("a", b"one\r\n")

    fresh = disk.see("a", after=0.1)
    later = disk.see("a", after=SETTLED_AFTER)

    assert (text(fresh), fresh.settled, fresh.grown, fresh.new) == (["one"], False, True, True)
    assert (text(later), later.settled, later.grown, later.new) == (["one"], True, False, False)


def test_a_screen_that_only_turns_a_spinner_is_settled_though_it_grows(disk: Disk) -> None:
    disk.write("a", b"\r- thinking (1s)")
    disk.see("a", after=0.0)

    disk.write("a", b"\r/ thinking (2s)")
    view = disk.see("a", after=0.0)

    assert (view.settled, view.grown, view.new) == (True, True, False)
    assert text(view) == ["/ thinking (2s)"]


def test_what_comes_is_added_to_what_was_there(disk: Disk) -> None:
    disk.write("a", b"one\r\ntw\xe4")
    disk.see("a")
    disk.write("a", b"\xbd\xa0 \x1b[1")
    disk.see("a")
    disk.write("a", b";1Hx")

    assert text(disk.see("a")) == ["xne", "tw你"]


def test_a_new_attempt_has_a_new_screen(disk: Disk) -> None:
    disk.write("a", b"one\r\n")
    disk.see("a")

    again = disk.look("a", 2)

    assert again is not None and again.grown


def test_of_a_flood_only_the_end_is_read_and_it_counts_as_new(disk: Disk) -> None:
    disk.write("a", b"begin\r\n")
    disk.see("a")
    disk.write("a", b"a line of text\r\n" * 1_000_000)

    view = disk.see("a")

    assert text(view) == ["a line of text"] * 9
    assert view.new
    disk.write("a", b"a line of text\r\n")
    assert not disk.see("a").new


def test_reading_stops_when_the_time_of_a_round_is_over_and_goes_on_in_the_next(disk: Disk) -> None:
    disk.write("a", b"word\r\n" * 5000)
    disk.cost = 0.006
    disk.screens.begin()
    rounds = 1

    while (view := disk.look("a")) is None:
        disk.wall += 0.01
        disk.screens.begin()
        rounds += 1

    assert text(view) == ["word"] * 9
    assert rounds > 1


def test_who_was_read_longest_ago_comes_first_and_who_is_gone_is_forgotten(disk: Disk) -> None:
    for name in "abc":
        disk.write(name, b"x")
        disk.see(name)
    disk.write("a", b"y")
    disk.see("a")

    assert disk.screens.in_turn(["a", "b", "c", "d"]) == ["d", "b", "c", "a"]
    assert disk.screens.in_turn(["a"]) == ["a"]
    assert list(disk.screens._terminals) == ["a"]


def test_the_screens_that_were_quiet_for_longest_give_way_to_others_and_are_read_again(disk: Disk) -> None:
    disk.screens.begin()
    for number in range(10):
        disk.write(f"{number}", b"text")
        assert disk.look(f"{number}", window=(300, 200)) is not None

    assert sum(terminal.cells for terminal in disk.screens._terminals.values()) <= 300_000
    again = disk.look("0", window=(300, 200))
    assert again is not None and text(again) == ["text"]


def test_what_cannot_be_read_shows_nothing(disk: Disk) -> None:
    (disk.folder / "folder").mkdir()
    os.mkfifo(disk.folder / "fifo")
    disk.write("large", b"x")

    assert disk.look("folder") is None
    assert disk.look("fifo") is None
    assert disk.look("none") is None
    assert disk.look("large", window=(9999, 9999)) is None


def test_it_is_known_whether_screens_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_read_screens()

    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "pyte", raising=False)

    assert not can_read_screens()
