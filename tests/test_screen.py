"""The actor that draws: when it draws, what reaches it, and what it leaves behind."""

import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from actors.display import LiveText
from actors.live.screen import Screen
from actors.messages import Lagged, Said, Subscribe
from protocols.board import SIGNAL
from protocols.events import Event, Record, RunStopping, WorkerHeartbeat
from protocols.ids import WorkerId
from protocols.layout import FleetFolder
from supervisor.fleets import Fleet
from tests.made_fleets import AT, fill_spool, make_fleet, output, run_started, started, starting, status

_BEGIN = b"\x1b[?2026h"
_BEGUN = (run_started("a"), status("a", "running"), starting("a"), started("a"))


@dataclass
class Looker:
    """Whoever sits before the terminal, and plays the hub."""

    fleet: Fleet
    master: int
    outbox: trio.MemorySendChannel[Record | Lagged]
    seq: int
    seen: bytes = b""

    async def tell(self, *events: Event) -> None:
        for event in events:
            self.seq += 1
            await self.outbox.send(Record(self.seq, event))

    async def see(self, text: bytes) -> None:
        """Wait until this was written."""
        while text not in self.seen:
            await trio.lowlevel.wait_readable(self.master)
            self.seen += os.read(self.master, 65536)

    @property
    def frames(self) -> int:
        return self.seen.count(_BEGIN)


@asynccontextmanager
async def looking(tmp_path: Path, text: LiveText | None = None) -> AsyncIterator[Looker]:
    """A screen of a run that has begun, at a moment that never passes. The body has to end the run."""
    fleet = make_fleet(tmp_path, _BEGUN)
    master, slave = pty.openpty()
    requests, to_hub = trio.open_memory_channel[Subscribe](1)
    screen = Screen(text=text or LiveText(), folder=fleet.folder, subscribe=requests, fd=slave, now=lambda: AT)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(screen.run)
            request = await to_hub.receive()
            assert request.registered is not None
            request.registered.set()
            async with request.outbox:
                yield Looker(fleet, master, request.outbox, len(_BEGUN))
    finally:
        os.close(slave)
        os.close(master)


def heartbeat() -> Event:
    return WorkerHeartbeat(
        at=AT, worker=WorkerId("a"), attempt=1, activity="active", quiet_for=0, stdout_bytes=0, stderr_bytes=0
    )


async def test_what_records_tell_is_drawn_and_the_spool_is_read(tmp_path: Path) -> None:
    async with looking(tmp_path) as looker:
        await looker.see(b"running")
        fill_spool(looker.fleet, "a", b"first words\n")
        await looker.tell(output("a", length=12))
        await looker.see(b"first words")


async def test_where_nothing_moves_nothing_is_drawn(tmp_path: Path) -> None:
    async with looking(tmp_path) as looker:
        await looker.see(b"running")
        frames = looker.frames
        for _ in range(5):
            await looker.tell(heartbeat())
            await trio.sleep(0.06)  # there was time for a picture
        await looker.tell(status("a", "succeeded"))
        await looker.see(b"succeeded")

    assert looker.frames == frames + 1


async def test_there_are_no_more_than_twenty_pictures_a_second(tmp_path: Path) -> None:
    async with looking(tmp_path) as looker:
        await looker.see(b"running")
        before, began = looker.frames, trio.current_time()
        fill_spool(looker.fleet, "a", b"x" * 10**6)
        for length in range(1, 500):
            await looker.tell(output("a", offset=length * 1000, length=1000))
            await trio.sleep(0.001)
        await looker.tell(status("a", "succeeded"))
        await looker.see(b"succeeded")
        passed = trio.current_time() - began

    assert 1 < looker.frames - before <= passed * 20 + 1


async def test_what_no_record_tells_is_shown_until_it_is_over(tmp_path: Path) -> None:
    outbox, inbox = trio.open_memory_channel[Said](1)

    async with looking(tmp_path, LiveText(said=inbox)) as looker:
        await outbox.send(Said("journal", "the disk \x1b[2Jis full"))
        await looker.see(b"the disk is full")
        looker.seen = b""
        await outbox.send(Said("journal", ""))
        await looker.see(_BEGIN)

    assert b"the disk is full" not in looker.seen
    with pytest.raises(trio.BrokenResourceError):
        outbox.send_nowait(Said("journal", "there is no picture any more"))


async def test_an_order_that_is_not_recorded_yet_takes_the_place_of_the_hint(tmp_path: Path) -> None:
    outbox, inbox = trio.open_memory_channel[Said](1)

    async with looking(tmp_path, LiveText(said=inbox)) as looker:
        await looker.see(b"Ctrl-C stops")
        await outbox.send(Said(SIGNAL, "SIGINT: TERM goes to all workers"))
        await looker.see(b"SIGINT: TERM goes to all workers")
        await looker.tell(RunStopping(at=AT, reason="SIGINT", grace=5.0))
        await looker.see(b"Ctrl-C kills at once")


async def test_somebody_who_looks_on_reads_that_ctrl_c_leaves(tmp_path: Path) -> None:
    async with looking(tmp_path, LiveText(leaves=True)) as looker:
        await looker.see(b"Ctrl-C leaves; the run goes on")


async def test_a_terminal_that_knows_only_ascii_gets_nothing_else(tmp_path: Path) -> None:
    async with looking(tmp_path, LiveText(ascii_only=True)) as looker:
        fill_spool(looker.fleet, "a", "é漢\n".encode())
        await looker.tell(output("a", length=6))
        await looker.see(b"e?")
        await looker.tell(status("a", "succeeded"))
        await looker.see(b"succeeded")

    assert looker.seen.isascii()


async def test_records_that_come_faster_than_they_are_drawn_are_all_taken(tmp_path: Path) -> None:
    async with looking(tmp_path) as looker:
        for number in range(3000):
            await looker.tell(output("a", offset=number * 1000, length=1000))
        await looker.see(b"3.0 MB")


async def test_it_ends_with_the_terminal_when_nothing_more_is_to_be_drawn(tmp_path: Path) -> None:
    """The clock of a run of a day goes on once an hour."""
    fleet = make_fleet(tmp_path, _BEGUN)
    master, slave = pty.openpty()
    requests, to_hub = trio.open_memory_channel[Subscribe](1)
    screen = Screen(
        text=LiveText(), folder=FleetFolder(fleet.folder.root), subscribe=requests, fd=slave, now=lambda: 100_000.0
    )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(screen.run)
        request = await to_hub.receive()
        assert request.registered is not None
        request.registered.set()
        quiet = False
        while not quiet:
            with trio.move_on_after(0.5) as patience:
                await trio.lowlevel.wait_readable(master)
                os.read(master, 65536)
            quiet = patience.cancelled_caught
        os.close(master)
    os.close(slave)


@pytest.mark.parametrize("hung_up", [True, False])
async def test_it_ends_with_the_run_or_with_the_terminal(tmp_path: Path, hung_up: bool) -> None:
    fleet = make_fleet(tmp_path, _BEGUN)
    master, slave = pty.openpty()
    requests, to_hub = trio.open_memory_channel[Subscribe](1)
    screen = Screen(text=LiveText(), folder=FleetFolder(fleet.folder.root), subscribe=requests, fd=slave)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(screen.run)
        request = await to_hub.receive()
        assert request.registered is not None
        request.registered.set()
        if hung_up:
            os.close(master)
        else:
            request.outbox.close()

    if not hung_up:
        os.close(master)
    os.close(slave)
