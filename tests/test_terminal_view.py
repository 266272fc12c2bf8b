"""The screen of a task, read from its records and its spool."""

import os
from functools import partial
from pathlib import Path

import pytest

from actors.screens import Screens
from protocols.errors import InputError
from protocols.events import Event
from protocols.ids import TaskId
from protocols.kinds import Source
from supervisor import terminal_view
from supervisor.following import Log
from supervisor.state import open_state
from supervisor.terminal_view import Picture, read_picture
from tests.made_fleets import AT, exited, fill_spool, make_fleet, run_ended, run_started, starting


def log_of(tmp_path: Path, data: bytes = b"", *, window: tuple[int, int] | None = (20, 4)) -> Log:
    source: Source = "pipe" if window is None else "pty"
    events: list[Event] = [
        run_started("a"),
        starting("a", source=source, window=window),
        exited("a"),
        run_ended(succeeded=1),
    ]
    fleet = make_fleet(open_state(tmp_path / ".callboard"), events)
    fill_spool(fleet, "a", data, stream="stdout" if window is None else "terminal")
    return Log(fleet, TaskId("a"))


def age(log: Log, seconds: float) -> None:
    """Its output was written so long before `AT`."""
    for path in log.fleet.folder.root.glob("spool/*/*/*"):
        os.utime(path, (AT, AT - seconds))


def test_the_screen_of_a_run_that_has_ended_is_what_it_showed_last(tmp_path: Path) -> None:
    log = log_of(tmp_path, b"\x1b[2J\x1b[2;3H\x1b[31mred\x1b[0m\r\n$ \xe2\x80\xae")
    age(log, 1.0)

    picture = read_picture(log)

    assert picture == Picture(columns=20, rows=4, attempt=1, settled=True, cursor=(2, 2), lines=("", "  red", "$"))


def test_a_screen_that_was_painted_just_now_is_waited_for(tmp_path: Path) -> None:
    assert read_picture(log_of(tmp_path, b"text")).settled


def test_a_screen_that_never_settles_is_shown_after_a_while_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path, b"text")
    age(log, 0.0)
    monkeypatch.setattr(terminal_view, "Screens", partial(Screens, now=lambda: AT))

    picture = read_picture(log, clock=iter([0.0, 1.0, 3.0]).__next__)

    assert (picture.settled, picture.lines) == (False, ("text",))


def test_a_task_without_a_terminal_has_no_screen(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'task "a": it did not run on a terminal; .* use callboard logs'):
        read_picture(log_of(tmp_path, window=None))


def test_output_that_is_gone_is_told(tmp_path: Path) -> None:
    log = log_of(tmp_path, b"text")
    for path in log.fleet.folder.root.glob("spool/*/*/*"):
        path.unlink()

    with pytest.raises(InputError, match=r'task "a": its terminal cannot be shown'):
        read_picture(log)


def test_without_the_library_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_view, "can_read_screens", lambda: False)

    with pytest.raises(InputError, match=r"pip install 'callboard\[term\]'"):
        read_picture(log_of(tmp_path))
