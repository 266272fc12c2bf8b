"""Finding opencode: there, missing, silent, or something else of that name."""

import json
from pathlib import Path

import pytest

from actors.opencode_program import find_opencode
from protocols.opencode import TESTED_VERSIONS
from tests.opencode import opencode_program

_PINNED = Path(__file__).with_name("e2e") / "package.json"


def _fake(folder: Path, script: str) -> str:
    (folder / "opencode").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "opencode").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_the_version_that_callboard_calls_tested_is_the_one_that_the_tests_install() -> None:
    assert json.loads(_PINNED.read_text())["dependencies"]["opencode-ai"] == TESTED_VERSIONS[-1]


@pytest.mark.opencode
def test_the_real_one_is_found_with_its_version() -> None:
    program = opencode_program()

    assert find_opencode(str(Path(program).parent), 25.0) == (program, TESTED_VERSIONS[-1])


@pytest.mark.parametrize(("says", "version"), [("1.2.3", "1.2.3"), ("v2.0.0-rc.1", "2.0.0-rc.1"), ("", ""), ("1", "")])
def test_what_it_says_is_its_version_if_it_looks_like_one(tmp_path: Path, says: str, version: str) -> None:
    assert find_opencode(_fake(tmp_path, f"echo '{says}'")) == (str(tmp_path / "opencode"), version)


def test_one_that_says_nothing_and_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    path = _fake(tmp_path, "sleep 1000 & sleep 1000")

    assert find_opencode(path, deadline=0.05) == (str(tmp_path / "opencode"), "")


def test_one_that_never_stops_talking_is_ended(tmp_path: Path) -> None:
    assert find_opencode(_fake(tmp_path, "yes 1.2.3")) == (str(tmp_path / "opencode"), "")


def test_one_that_cannot_be_started_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "opencode").write_bytes(b"\x7fELF, but broken")
    (tmp_path / "opencode").chmod(0o755)

    assert find_opencode(str(tmp_path)) == (str(tmp_path / "opencode"), "")


def test_it_writes_to_no_home_of_ours(tmp_path: Path) -> None:
    path = _fake(tmp_path, f"echo $HOME > {tmp_path}/home; echo 1.2.3")

    assert find_opencode(path)[1] == "1.2.3"
    assert not Path((tmp_path / "home").read_text().strip()).exists()


def test_none_is_no_error(tmp_path: Path) -> None:
    assert find_opencode(str(tmp_path)) == ("", "")
