"""Finding tmux: there, missing, too old, or something else of that name."""

import shutil
from pathlib import Path

import pytest

from actors.tmux_program import find_tmux, tmux_problem
from tests.require import needs


def _fake(folder: Path, says: str) -> str:
    (folder / "tmux").write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / "tmux").chmod(0o755)
    return str(folder)


def test_the_real_one_is_found_with_its_version() -> None:
    needs("tmux", "install tmux")
    program = shutil.which("tmux") or ""

    path, version = find_tmux(str(Path(program).parent))

    assert path == program
    assert version[0].isdecimal()


@pytest.mark.parametrize("says", ["tmux 3.2", "tmux 3.3a", "tmux next-3.5", "tmux 10.0", "tmux master"])
def test_a_version_that_is_new_enough_is_no_problem(tmp_path: Path, says: str) -> None:
    assert tmux_problem(_fake(tmp_path, says)) == ""


@pytest.mark.parametrize(
    ("says", "what"),
    [
        ("tmux 3.1c", "is version 3.1c; install tmux 3.2 or later"),
        ("tmux 2.9", "is version 2.9; install tmux 3.2 or later"),
        ("hello", "is no tmux that tells its version; install tmux 3.2 or later"),
        ("", "is no tmux that tells its version; install tmux 3.2 or later"),
    ],
)
def test_another_one_is_told_with_what_to_do(tmp_path: Path, says: str, what: str) -> None:
    assert tmux_problem(_fake(tmp_path, says)) == f"{tmp_path}/tmux {what}"


def test_one_that_says_nothing_and_does_not_end_is_ended(tmp_path: Path) -> None:
    (tmp_path / "tmux").write_text("#!/bin/sh\nsleep 1000 & sleep 1000")
    (tmp_path / "tmux").chmod(0o755)

    assert find_tmux(str(tmp_path), deadline=0.05) == (str(tmp_path / "tmux"), "")


def test_none_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert find_tmux(str(tmp_path)) == ("", "")
    assert tmux_problem(str(tmp_path)) == "tmux is not installed; install tmux 3.2 or later"
