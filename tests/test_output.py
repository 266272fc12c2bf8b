"""How a run is shown: what somebody asked for, against what the terminal can do."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.display import JsonText, LiveText, PlainText
from protocols.errors import InputError
from protocols.layout import FleetFolder
from supervisor.output import Output, choose_output, is_utf8, make_text

_TERMINAL = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard output is a terminal."""
    master, slave = pty.openpty()
    monkeypatch.setattr("supervisor.output._STDOUT", slave)
    yield
    os.close(master)
    os.close(slave)


@pytest.fixture
def into_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT, 0o600)
    monkeypatch.setattr("supervisor.output._STDOUT", fd)
    yield
    os.close(fd)


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.parametrize(
    ("asked", "show_output", "environ", "chosen"),
    [
        (None, False, _TERMINAL, "live"),
        ("live", False, _TERMINAL, "live"),
        ("plain", False, _TERMINAL, "plain"),
        ("json", False, _TERMINAL, "json"),
        (None, True, _TERMINAL, "plain"),
        (None, False, {"TERM": "dumb"}, "plain"),
        (None, False, {}, "plain"),
    ],
)
def test_a_terminal_shows_a_picture_unless_something_speaks_against_it(
    asked: Output | None, show_output: bool, environ: dict[str, str], chosen: Output
) -> None:
    assert choose_output(asked, show_output=show_output, environ=environ) == chosen


@pytest.mark.usefixtures("into_a_file")
@pytest.mark.parametrize("show_output", [True, False])
def test_what_is_no_terminal_gets_lines(show_output: bool) -> None:
    assert choose_output(None, show_output=show_output, environ=_TERMINAL) == "plain"


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.parametrize(
    ("show_output", "environ", "why"),
    [(True, _TERMINAL, "there is no place for --show-output"), (False, {"TERM": "dumb"}, 'TERM is "dumb", which says')],
)
def test_a_picture_that_cannot_be_is_refused_with_the_reason(
    show_output: bool, environ: dict[str, str], why: str
) -> None:
    with pytest.raises(InputError, match=f"^--output live: {why}.*; use --output plain$"):
        choose_output("live", show_output=show_output, environ=environ)


@pytest.mark.usefixtures("into_a_file")
def test_a_picture_into_a_file_is_refused() -> None:
    with pytest.raises(InputError, match=r"^--output live: standard output is no terminal; use --output plain$"):
        choose_output("live", show_output=False, environ=_TERMINAL)


def test_each_way_of_showing_has_its_text(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)

    made = [make_text(output, folder, leaves=True, environ=_TERMINAL) for output in ("json", "plain", "live")]

    assert [type(text) for text in made] == [JsonText, PlainText, LiveText]
    assert made[2] == LiveText(colour=True, ascii_only=False, leaves=True)


@pytest.mark.parametrize(
    ("environ", "colour", "ascii_only"),
    [
        ({"LANG": "C.UTF-8", "NO_COLOR": "1"}, False, False),
        ({"LANG": "C.UTF-8", "NO_COLOR": ""}, True, False),
        ({"LC_ALL": "C"}, True, True),
    ],
)
def test_a_picture_obeys_the_environment(
    tmp_path: Path, environ: dict[str, str], colour: bool, ascii_only: bool
) -> None:
    made = make_text("live", FleetFolder(tmp_path), environ=environ)

    assert made == LiveText(colour=colour, ascii_only=ascii_only)


@pytest.mark.parametrize(
    ("environ", "utf8"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.utf8@euro"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "C.UTF-8", "LC_CTYPE": "C"}, True),
        ({"LANG": "de_DE.UTF-8", "LC_CTYPE": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "de_DE"}, False),
        ({"LC_ALL": "C", "LANG": "C.UTF-8"}, False),
        ({"LC_ALL": "C.UTF-8", "LC_CTYPE": "C", "LANG": "C"}, True),
        ({"LC_ALL": "", "LANG": "C.UTF-8"}, True),
        ({"LANG": "POSIX"}, True),
        ({"LC_CTYPE": "UTF-8"}, True),
    ],
)
def test_the_locale_says_whether_a_terminal_understands_utf8(environ: dict[str, str], utf8: bool) -> None:
    assert is_utf8(environ) is utf8


def test_who_wants_a_list_of_runs_does_not_load_what_it_takes_to_run_one() -> None:
    script = "import sys, supervisor.listing; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert {"trio", "protocols.plan_parser"}.isdisjoint(done.stdout.split())


def test_who_wants_lines_does_not_load_what_it_takes_to_draw(tmp_path: Path) -> None:
    """A run of 500 workers may take 80 MB."""
    (tmp_path / "plan.toml").write_text('tasks = [{ id = "a", command = ["true"] }]')
    script = (
        "import sys; from supervisor.cli.main import main; sys.argv = ['callboard', 'run', 'plan.toml']\n"
        "try: main()\nfinally: print(*sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    loaded = set(done.stdout.splitlines()[-1].split())
    assert "supervisor.app" in loaded
    assert [
        name
        for name in loaded
        if name.startswith(("actors.live.", "protocols.session_fold")) or name in {"rich.console", "rich.text"}
    ] == []
