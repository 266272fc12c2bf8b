"""Looking at workers: what their processes and the ends of their output show, and what their screens do."""

import os
from pathlib import Path

import pytest

from actors.inspection import Inspector
from protocols.evidence import Mark
from protocols.ids import WorkerId
from protocols.layout import FleetFolder
from protocols.markers import Markers
from protocols.prompts import Prompt, Prompts
from protocols.sight import Glimpse, Sight, Tail, Wanted

A = WorkerId("a")
MARKERS = Markers((("testing", b"Running tests"),), Prompts(asks=("(y/n)",)))


@pytest.fixture
def folder(tmp_path: Path) -> FleetFolder:
    folder = FleetFolder(tmp_path)
    folder.attempt(A, 1).mkdir(parents=True)
    return folder


def terminal(*, end: int) -> Wanted:
    return Wanted(A, 1, "pty", None, Tail("terminal", end, end, end, alone=True), (40, 10))


async def look(inspector: Inspector, wanted: Wanted) -> Sight:
    sights, _ = await inspector.look([wanted], None)
    inspector.close()
    return sights[0]


async def test_the_mark_of_a_pipe_stands_in_the_end_of_what_it_printed(folder: FleetFolder) -> None:
    folder.spool(A, 1, "stdout").write_bytes(b"Running tests\n")

    sight = await look(
        Inspector(folder, {A: MARKERS}), Wanted(A, 1, "pipe", None, Tail("stdout", 0, 14, 14, alone=True))
    )

    assert (sight.mark, sight.spooled, sight.glimpse) == (Mark("testing", "Running tests"), 14, None)


async def test_of_a_terminal_the_screen_is_looked_at_and_what_was_painted_over_is_not_there(
    folder: FleetFolder,
) -> None:
    path = folder.spool(A, 1, "terminal")
    path.write_bytes(b"Running tests\r\x1b[KSure? (y/n) ")
    os.utime(path, (0, 0))

    sight = await look(Inspector(folder, {A: MARKERS}), terminal(end=path.stat().st_size))

    prompt = Prompt("question", "Sure? (y/n)")
    assert (sight.mark, sight.glimpse) == (None, Glimpse(None, prompt, settled=True, grown=True, new=True))


async def test_a_mark_may_be_put_together_on_the_screen_alone(folder: FleetFolder) -> None:
    path = folder.spool(A, 1, "terminal")
    path.write_bytes(b"\x1b[1;9Htests\x1b[1;1HRunning ")

    sight = await look(Inspector(folder, {A: MARKERS}), terminal(end=path.stat().st_size))

    assert sight.glimpse is not None and sight.glimpse.mark == Mark("testing", "Running tests")


async def test_without_a_library_for_screens_the_end_of_the_output_tells(folder: FleetFolder) -> None:
    path = folder.spool(A, 1, "terminal")
    path.write_bytes(b"Running tests\r\x1b[KSure? (y/n) ")

    sight = await look(Inspector(folder, {A: MARKERS}, read_screens=False), terminal(end=path.stat().st_size))

    assert (sight.mark, sight.glimpse) == (Mark("testing", "Running tests"), None)
