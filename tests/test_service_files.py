"""The files of configs/ for service managers and containers, as far as they can be tried without either."""

import configparser
import json
import os
import re
import subprocess
from pathlib import Path

from tests.require import program
from tests.running import CALLBOARD, callboard

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # as the module's documentation says
    parser.read(CONFIGS / "callboard.service")
    return parser


def test_the_unit_waits_until_it_is_ready_and_ends_the_supervisor_alone() -> None:
    service = unit()["Service"]

    assert (service["Type"], service["KillMode"], service["Restart"]) == ("notify", "process", "on-failure")


def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "install systemd")
    text = (CONFIGS / "callboard.service").read_text().replace("%h/.local/bin/callboard", str(CALLBOARD))
    (tmp_path / "callboard.service").write_text(text)

    done = subprocess.run(
        [analyze, "verify", "--man=no", tmp_path / "callboard.service"],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert [line for line in done.stderr.splitlines() if "callboard.service" in line] == []


def test_the_commands_of_the_unit_and_of_the_container_are_there(tmp_path: Path) -> None:
    lines = (CONFIGS / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    said = [
        json.loads(found[0]) for line in lines if (found := re.findall(r"^(?:HEALTH|ENTRY|CMD)[^\[]*(\[.*\])", line))
    ]
    service = unit()["Service"]
    commands = [service[key].split()[1:] for key in ("ExecStart", "ExecReload")]
    commands += [said[0][1:], said[2]]

    assert said[1] == ["tini", "--", "callboard"]
    assert commands == [["up"], ["restart"], ["up", "--wait", "--patience", "5s"], ["up"]]
    for command in commands:
        callboard(tmp_path, command[0], "--help")
    assert "--patience" in callboard(tmp_path, "up", "--help").stdout
