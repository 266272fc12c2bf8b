"""The script that completes commands and flags, in a real bash."""

import subprocess
from pathlib import Path

import pytest

from tests.require import program
from tests.running import callboard

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_callboard; echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sp"], "spawn"),
        (["spawn", "--tim"], "--timeout"),
        (["run", "--output", ""], "live plain json"),
    ],
)
def test_bash_completes_commands_flags_and_their_values(tmp_path: Path, words: list[str], offered: str) -> None:
    script = tmp_path / "script"
    script.write_text(callboard(tmp_path, "completion", "bash").stdout)

    said = subprocess.run(
        [program("bash", "install bash"), "--norc", "-c", ASK, "bash", str(script), "callboard", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )

    assert said.stdout.split() == offered.split()
    assert said.stderr == ""
