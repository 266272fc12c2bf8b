"""A state folder that cannot be used: one clear error, exit code 2, and it stays as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.require import needs
from tests.running import callboard, task
from tests.users import UNPRIVILEGED

COMMANDS = [("run", "plan.toml"), ("runs",), ("prune",)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "plan.toml").write_text(task("a", ["touch", "started"]))
    yield tmp_path
    assert not (tmp_path / "started").exists()


def refused(folder: Path, *command: str, before: tuple[str, ...] = ()) -> str:
    """What a command says of the state folder."""
    done = callboard(folder, *command, code=2, before=before)

    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    return done.stderr.removeprefix("error: ").removesuffix("\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_folder_that_is_a_link_is_refused(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "elsewhere").mkdir()
    state = folder / ".callboard"
    state.symlink_to("elsewhere")

    assert refused(folder, *command) == (f"{state}: the state folder is a symbolic link; name the folder it points to")
    assert list((folder / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_folder_that_is_a_file_is_refused(folder: Path, command: tuple[str, ...]) -> None:
    state = folder / ".callboard"
    state.write_text("mine")

    assert refused(folder, *command) == (
        f"{state}: the state folder is not a folder; move that file away, or choose another state folder"
    )
    assert state.read_text() == "mine"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("mode", [0o770, 0o703])
def test_a_state_folder_in_which_others_can_write_is_refused(folder: Path, command: tuple[str, ...], mode: int) -> None:
    state = folder / ".callboard"
    state.mkdir()
    state.chmod(mode)

    assert refused(folder, *command) == f"{state}: other users can write in the state folder; run: chmod go-w {state}"
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_folder_of_somebody_else_is_refused(folder: Path, command: tuple[str, ...]) -> None:
    needs("chown", "run the tests as root", present=os.geteuid() == 0)
    state = folder / ".callboard"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, -1)

    assert refused(folder, *command) == (
        f"{state}: the state folder belongs to user 65534, not to you (0); choose another one"
    )
    assert list(state.iterdir()) == []


def test_a_state_folder_in_which_we_cannot_write_is_refused(folder: Path) -> None:
    state = folder / ".callboard"
    state.mkdir(mode=0o500)

    assert refused(folder, "run", "plan.toml", before=UNPRIVILEGED) == (
        f"{state}: the state folder is not writable; make it writable for you, or choose another state folder"
    )


def test_a_state_folder_that_cannot_be_made_is_refused(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o500)

    assert refused(folder, "run", "plan.toml", "--state", "closed/state", before=UNPRIVILEGED) == (
        f"{folder}/closed/state: Permission denied; make it writable for you, or choose another state folder"
    )
    assert refused(folder, "run", "plan.toml", "--state", "nowhere/state") == (
        f"{folder}/nowhere/state: No such file or directory; "
        "create the folder it is to lie in, or choose another state folder"
    )
