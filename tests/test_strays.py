"""Processes that came to this one: which of them are ended, and which are left alone."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from actors.strays import BESIDE, Strays
from protocols.ids import FleetId
from tests.process_trees import wait_until

FLEET = FleetId("0123456789abcdef0123456789abcdef")


@contextmanager
def _child(mark: str = "") -> Iterator[subprocess.Popen[bytes]]:
    environment = {"PATH": "/usr/bin:/bin", **({"CALLBOARD_MARK": mark} if mark else {})}
    with subprocess.Popen(["sleep", "1000"], env=environment) as child:
        wait_until(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes() != b"")  # in mid-exec it has none
        yield child
        child.kill()


@contextmanager
def _stray() -> Iterator[subprocess.Popen[bytes]]:
    with _child() as child:
        yield child
        child.returncode = 0  # it was reaped by others


@pytest.mark.parametrize("mark", [BESIDE, f"outer/one:{BESIDE}"])
def test_what_stands_beside_the_fleet_is_no_stray(mark: str) -> None:
    strays = Strays(FLEET)

    with _child(mark) as beside, _stray() as stray:
        ended = trio.run(strays.end)
        lives = beside.poll() is None

    assert ended == [f"{stray.pid} sleep 1000"]
    assert lives


def test_what_stood_beside_the_fleet_before_makes_no_stray_doubtful() -> None:
    with _child(BESIDE):
        strays = Strays(FLEET)

        with _stray() as stray:
            ended = trio.run(strays.end)

    assert ended == [f"{stray.pid} sleep 1000"]
