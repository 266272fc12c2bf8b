"""A fleet that exists in its journal only, and what answers for it at a port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.command_desk import CommandDesk
from actors.commander import RefusedError
from actors.dispatcher import Dispatcher, decode_params, find_method
from actors.fleet_reader import FleetReader
from actors.journal_file import last_seq
from actors.messages import Append
from actors.picture import Picture
from protocols.commands import Command, Done
from protocols.events import Event, InstanceLinked, InstanceRecord, OwnEvent
from protocols.ids import RunId, WorkerId
from protocols.layout import FleetFolder
from protocols.peer import Peer
from protocols.redaction import Redactor
from tests.made_fleets import AT, run_started, started, starting, status
from tests.test_subscription import Rig, running

__all__ = ["ADMIN", "READER", "TREE", "FakeCommander", "PortRig", "open_fleet"]

ADMIN = Peer(scope="admin", who="user 0", address="unix")
READER = Peer(scope="read", who="token reader", address="unix")


def _below(path: str, *events: OwnEvent) -> list[Event]:
    worker = WorkerId(path.partition("/")[0])
    return [InstanceRecord(at=AT, worker=worker, path=path, numbers=(1,), event=event) for event in events]


TREE: Sequence[Event] = (
    run_started("build", "lint"),
    starting("lint"),
    started("lint"),
    status("lint", "running"),
    starting("build", source="instance"),
    started("build"),
    status("build", "running"),
    InstanceLinked(at=AT, worker=WorkerId("build"), attempt=1, run=RunId("bbbbbbbb")),
    *_below(
        "build",
        msgspec.structs.replace(run_started("deep"), run=RunId("bbbbbbbb")),
        starting("deep"),
        started("deep"),
        status("deep", "running"),
    ),
)
"""Two tasks at work, one of which is an instance with a task of its own."""


@dataclass
class FakeCommander:
    """Notes what it is asked for, and puts an event into the journal for it; refuses tasks named ``no``."""

    rig: Rig
    asked: list[Command] = field(default_factory=list)
    made: str = ""
    """The task that it answers with; empty: the one that was named."""
    gate: trio.Event | None = None
    """What it waits for before it does anything."""
    began: trio.Event = field(default_factory=trio.Event)

    async def put(self, event: Event) -> None:
        """Return when it is in the journal."""
        committed = trio.Event()
        await self.rig.inbox.send(Append(event, committed))
        await committed.wait()

    async def carry_out(self, command: Command, *, pid: int = 0) -> Done:
        self.asked.append(command)
        self.began.set()
        if self.gate is not None:
            await self.gate.wait()
        task = getattr(command, "task", "")
        if task == "no":
            raise RefusedError('task "no": not now')
        await self.put(status("lint", "running", reason="asked"))
        return Done(task=self.made or str(task), attempt=1, seq=last_seq(self.rig.path))


@dataclass(frozen=True)
class PortRig:
    rig: Rig
    folder: FleetFolder
    dispatcher: Dispatcher
    commander: FakeCommander

    async def call(self, name: str, peer: Peer = ADMIN, /, **params: object) -> Any:
        """The result, as its type."""
        method = find_method(name)
        return await self.dispatcher.call(method, decode_params(method, msgspec.json.encode(params)), peer)


@asynccontextmanager
async def open_fleet(root: Path, events: Sequence[Event] = TREE) -> AsyncIterator[PortRig]:
    await trio.Path(root).mkdir(exist_ok=True)
    folder = FleetFolder(root)
    async with running(folder.journal) as rig, trio.open_nursery() as nursery:
        commander = FakeCommander(rig)
        for event in events:
            await commander.put(event)
        picture = Picture(journal=folder.journal, subscribe=rig.requests)
        await nursery.start(picture.run)
        reader = FleetReader(folder=folder, picture=picture, redactor_of=lambda _: Redactor(), now=lambda: AT + 10)
        desk = CommandDesk(commander=commander, journal=folder.journal, outbox=rig.inbox, now=lambda: AT + 10)
        await nursery.start(desk.run)
        yield PortRig(rig, folder, Dispatcher(reader=reader, desk=desk), commander)
        nursery.cancel_scope.cancel(reason="the test is done")
