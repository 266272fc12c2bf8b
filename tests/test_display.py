"""What a run shows, and readers that are slow, gone, or never read at all."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.display import Display, JsonText, PlainText, write_all
from actors.journal_file import open_journal, read_records
from actors.messages import Subscribe
from protocols.event_codec import encode_event
from protocols.events import Event, Record
from protocols.ids import WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from tests.made_fleets import exited, output, run_started, started, starting, status

A = WorkerId("a")


@pytest.fixture
def folder(tmp_path: Path) -> FleetFolder:
    return FleetFolder(tmp_path)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        os.close(fd)


def _record(folder: FleetFolder, *events: Event) -> list[Record]:
    journal = open_journal(folder.journal)
    try:
        return journal.append(events)
    finally:
        journal.close()


def _spool(folder: FleetFolder, stdout: bytes = b"", stderr: bytes = b"") -> None:
    folder.attempt(A, 1).mkdir(parents=True)
    (folder.attempt(A, 1) / "stdout").write_bytes(stdout)
    (folder.attempt(A, 1) / "stderr").write_bytes(stderr)


async def _show(text: JsonText | PlainText, folder: FleetFolder) -> bytes:
    """All that is shown of a run that has ended."""
    requests, to_hub = trio.open_memory_channel[Subscribe](1)
    to_hub.close()
    shown = folder.root / "shown"
    fd = os.open(shown, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        await Display(text=text, folder=folder, subscribe=requests, fd=fd).run()
    finally:
        os.close(fd)
    return await trio.Path(shown).read_bytes()


@asynccontextmanager
async def _showing(folder: FleetFolder, fd: int, text: JsonText | PlainText) -> AsyncIterator[trio.CancelScope]:
    """A display of a run that has ended. It must end by itself, unless the body cancels it."""
    requests, to_hub = trio.open_memory_channel[Subscribe](1)
    to_hub.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Display(text=text, folder=folder, subscribe=requests, fd=fd).run)
        yield nursery.cancel_scope


async def test_json_is_each_record_as_it_is_in_the_journal(folder: FleetFolder) -> None:
    records = _record(folder, run_started("a"), starting("a"), status("a", "failed", reason="é\n"))

    lines = (await _show(JsonText(), folder)).splitlines()

    assert [json.loads(line) for line in lines] == [
        {"seq": record.seq, **json.loads(encode_event(record.event))} for record in records
    ]


async def test_output_is_shown_when_it_is_asked_for(folder: FleetFolder) -> None:
    _spool(folder, b"hello\n")
    _record(folder, run_started("a"), starting("a"), started("a"), output("a", length=6), exited("a"))

    assert b"hello" not in await _show(PlainText(folder), folder)
    assert b"a | hello\n" in await _show(PlainText(folder, show_output=True), folder)


async def test_lines_are_whole_however_the_records_cut_them(folder: FleetFolder) -> None:
    out, err = "one\ntwö\nlast".encode(), b"here and there\n"
    _spool(folder, out, err)
    assert len(out) < len(err)
    streams: list[tuple[Stream, bytes]] = [("stdout", out), ("stderr", err)]
    cuts = [
        output("a", stream=name, offset=at, length=1)
        for at in range(len(err))
        for name, data in streams
        if at < len(data)
    ]
    _record(folder, run_started("a"), starting("a"), *cuts, exited("a"), status("a", "succeeded"))

    shown = await _show(PlainText(folder, show_output=True), folder)

    lines = [line for line in shown.decode().splitlines() if line.startswith("a | ")]
    assert sorted(lines) == ["a | here and there", "a | last", "a | one", "a | twö"]
    assert lines[-1] == "a | last"
    assert shown.splitlines()[-1].endswith(b"a: succeeded in 2s")


async def test_what_a_worker_prints_cannot_touch_the_terminal(folder: FleetFolder) -> None:
    _spool(folder, b"\x1b[31mred\x1b]0;title\x07\x9b2J\xff\x00\n")
    _record(folder, run_started("a"), starting("a"), output("a", length=29))

    shown = await _show(PlainText(folder, show_output=True), folder)

    (line,) = [line for line in shown.decode().splitlines() if line.startswith("a | ")]
    assert line.startswith("a | red") and line.isprintable()


async def test_a_long_line_comes_in_parts(folder: FleetFolder) -> None:
    _spool(folder, b"x" * 25 + b"\n")
    _record(folder, run_started("a"), starting("a"), output("a", length=26))

    shown = await _show(PlainText(folder, show_output=True, max_line=10), folder)

    assert [len(line) - 4 for line in shown.splitlines() if line.startswith(b"a | ")] == [10, 10, 5]


async def test_a_reader_that_is_gone_ends_the_display_and_nothing_else(folder: FleetFolder) -> None:
    _record(folder, run_started("a"), *(status("a", "running") for _ in range(5000)))
    read, write = os.pipe()
    os.close(read)

    async with _showing(folder, write, JsonText()):
        pass

    os.close(write)


async def test_a_reader_that_never_reads_can_be_left(folder: FleetFolder, pipe: tuple[int, int]) -> None:
    _spool(folder, b"x" * 10_000_000)
    _record(folder, run_started("a"), starting("a"), output("a", length=10_000_000))

    async with _showing(folder, pipe[1], PlainText(folder, show_output=True)) as scope:
        await wait_all_tasks_blocked(0.05)
        scope.cancel()

    os.set_blocking(pipe[0], False)
    while os.read(pipe[0], 2**20):
        if not await _readable(pipe[0]):
            break  # the thread that was left has written what it had


async def _readable(fd: int) -> bool:
    with trio.move_on_after(0.05):
        await trio.lowlevel.wait_readable(fd)
        return True
    return False


async def test_a_descriptor_that_does_not_block_gets_every_byte(folder: FleetFolder, pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    _record(folder, run_started("a"), *(status("a", "running") for _ in range(5000)))
    shown = bytearray()

    async with _showing(folder, write, JsonText()):
        while shown.count(b"\n") < 5001:
            await trio.lowlevel.wait_readable(read)
            shown += os.read(read, 2**20)

    assert [json.loads(line)["seq"] for line in shown.splitlines()] == [
        record.seq for record in read_records(folder.journal)
    ]


@pytest.mark.parametrize("number", ["full", "closed"])
def test_where_nothing_can_be_written_it_is_said_at_once(number: str) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    if number == "closed":
        os.close(fd)

    assert not write_all(fd, b"x", wait=False)

    if number == "full":
        os.close(fd)
