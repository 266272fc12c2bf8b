"""Which actor shows a run, and what is shown where that one fails."""

import os
import pty
from pathlib import Path

import pytest
import trio

from actors.display import JsonText, LiveText, PlainText
from actors.messages import Subscribe
from protocols.events import Event
from protocols.layout import FleetFolder
from supervisor.children import supervise
from supervisor.displays import display_child
from tests.made_fleets import add_records, make_fleet, run_started, status

_RECORDS: list[Event] = [run_started("a"), status("a", "succeeded")]


async def _show(folder: FleetFolder, text: JsonText | PlainText | LiveText, fd: int) -> None:
    requests, to_hub = trio.open_memory_channel[Subscribe](1)
    to_hub.close()
    child = display_child(text, folder, requests, fd)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervise, child)


async def test_a_picture_that_fails_gives_way_to_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: object, **__: object) -> None:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr("actors.live.screen.draw", draw)
    fleet = make_fleet(tmp_path, _RECORDS)
    master, slave = pty.openpty()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_show, fleet.folder, LiveText(), slave)
        seen = b""
        while b"a: succeeded" not in seen:
            await trio.lowlevel.wait_readable(master)
            seen += os.read(master, 65536)

    os.close(master)
    os.close(slave)
    assert seen.count(b"\x1b[?1049h") == seen.count(b"\x1b[?1049l")


async def test_a_picture_of_a_run_that_has_ended_leaves_nothing_on_the_terminal(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path, _RECORDS)
    master, slave = pty.openpty()
    os.set_blocking(master, False)

    await _show(fleet.folder, LiveText(), slave)

    try:
        shown = os.read(master, 65536)
    except BlockingIOError:
        shown = b""
    os.close(master)
    os.close(slave)
    assert shown.count(b"\x1b[?1049h") == shown.count(b"\x1b[?1049l")
    assert b"a: succeeded" not in shown


async def test_lines_are_not_shown_twice_when_their_reader_is_gone(tmp_path: Path) -> None:
    fleet = make_fleet(tmp_path)
    add_records(fleet, [run_started("a")])
    read, write = os.pipe()
    os.close(read)

    await _show(fleet.folder, PlainText(fleet.folder), write)

    os.close(write)
