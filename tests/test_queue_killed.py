"""A queue of commands that is killed between any two of its steps: each command arrives once, or is told as unknown."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors.command_file import read_command
from actors.journal_file import read_records
from protocols.command_events import CommandAccepted, CommandDone, CommandFailed, CommandQueued, CommandWritten
from protocols.command_rules import UNKNOWN
from protocols.layout import FleetFolder
from tests.gated_queue import COMMAND

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("queued", "written", "accepted", "done", "failed", "expired")
WHOLE = [CommandQueued, CommandWritten, CommandAccepted, CommandDone]
STEPS = 22
"""A whole run has some twenty."""


def run(folder: FleetFolder, step: int) -> int:
    """The exit code of the queue that is killed at this step."""
    arguments = [sys.executable, "-m", "tests.gated_queue", str(folder.root), str(step)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize("step", range(1, STEPS))
def test_whenever_it_is_killed_a_command_arrives_once_or_is_told_as_unknown(tmp_path: Path, step: int) -> None:
    folder = FleetFolder(tmp_path)
    run(folder, step)

    assert run(folder, 0) == 0

    row = read_command(folder.commands, COMMAND.id)
    arrived = (tmp_path / "arrived").read_bytes() if (tmp_path / "arrived").exists() else b""
    told = [each.event for each in read_records(folder.journal, types=[f"command.{kind}" for kind in KINDS])]
    assert row is not None
    assert arrived in (b"", b"go\n")
    if row.state == "done":
        assert (arrived, [type(event) for event in told]) == (b"go\n", WHOLE)
    else:
        assert (row.state, row.reason) == ("failed", UNKNOWN)
        assert [type(event) for event in told] == [CommandQueued, CommandFailed]
