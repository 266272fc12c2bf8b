"""What is told of the programs that some plans need."""

from pathlib import Path

import pytest

from supervisor.findings import Finding
from supervisor.programs import find_programs


def _opencode(folder: Path) -> Finding:
    return next(each for each in find_programs(str(folder)) if each.subject == "opencode")


@pytest.mark.parametrize(
    ("says", "level", "found"),
    [
        ("1.18.33", "ok", "1.18.33 at {}/opencode, with which callboard was tested"),
        ("9.0.1-beta", "warn", "9.0.1-beta at {}/opencode; callboard was tested with 1.18.33"),
        ("hello", "warn", "{}/opencode does not tell its version; is it OpenCode?"),
    ],
)
def test_the_version_of_opencode_is_told_and_whether_it_was_tested(
    tmp_path: Path, says: str, level: str, found: str
) -> None:
    (tmp_path / "opencode").write_text(f"#!/bin/sh\necho '{says}'\n")
    (tmp_path / "opencode").chmod(0o755)

    finding = _opencode(tmp_path)

    assert (finding.level, finding.found) == (level, found.format(tmp_path))


def test_without_opencode_nothing_is_wrong_and_how_to_get_it_is_told(tmp_path: Path) -> None:
    finding = _opencode(tmp_path)

    assert finding.level == "ok"
    assert finding.advice == "for those, npm install --global opencode-ai@1.18.33"
