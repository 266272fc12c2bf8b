"""The actors beside the orchestrator of a run: who judges its workers, who counts, and who may ask from outside."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import trio

from actors.accountant import Accountant
from actors.command_queue import CommandQueue
from actors.commander import Commander
from actors.control_input import Inputs
from actors.control_port import ControlPort
from actors.deadlines import Deadlines
from actors.delivery import Delivery
from actors.fleet_commander import FleetCommander
from actors.inspection import Inspector
from actors.keyboard import manner_of
from actors.leaving import Leaving
from actors.liveness import Liveness
from actors.picture import Picture
from actors.proofs import Proofs
from actors.reaching import Reaching
from actors.remedies import Remedies
from actors.worker_commands import WorkerCommands
from protocols.plan_budgets import budgets_of
from protocols.resumption import Resumption
from supervisor.ancestry import greeter_child
from supervisor.channels import Channels
from supervisor.children import Child
from supervisor.fleets import NewFleet
from supervisor.plans import LoadedPlan
from supervisor.roll import Roll
from supervisor.settings import Settings

__all__ = ["Parts", "Serve", "Serving"]

logger = logging.getLogger(__name__)

_LAST_WORDS = 5.0  # seconds, for the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a port needs of the run that it is for."""

    fleet: NewFleet
    channels: Channels
    picture: Picture
    commander: Commander
    leaving: Leaving | None


Serve: TypeAlias = Callable[[Parts], Child]
"""Makes the port of a run. It is started last and cancelled first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    fleet: NewFleet
    loaded: LoadedPlan
    settings: Settings
    resumption: Resumption | None
    channels: Channels
    roll: Roll
    leaving: Leaving | None
    """None: its workers would end with it."""
    serve: Serve | None = None
    picture: Picture = field(init=False)
    _queue_over: trio.Event = field(default_factory=trio.Event, init=False)

    def __post_init__(self) -> None:
        picture = Picture(journal=self.fleet.folder.journal, subscribe=self.channels.requests)
        object.__setattr__(self, "picture", picture)

    def children(self) -> Iterator[Child]:
        """In the order in which they start."""
        handover, commander = self.loaded.handover, self._commander()
        if budgets_of(self.loaded.plan):
            yield Child("accountant", self._accountant().run, when_exhausted="park")
        yield Child("liveness", self._liveness().run, when_exhausted="park")
        yield Child("picture", self.picture.run, when_exhausted="park")
        yield Child("command queue", partial(self._run_queue, commander), when_exhausted="park")
        yield Child("control port", self._control_port(commander).run, when_exhausted="park")
        if handover is not None:
            yield greeter_child(handover, self.fleet.identity.run)
        if self.serve is not None:
            parts = Parts(
                fleet=self.fleet,
                channels=self.channels,
                picture=self.picture,
                commander=commander,
                leaving=self.leaving,
            )
            yield self.serve(parts)

    def _accountant(self) -> Accountant:
        channels = self.channels
        return Accountant(
            folder=self.fleet.folder,
            after=0 if self.resumption is None else self.resumption.last_seq,
            subscribe=channels.requests,
            outbox=channels.events,
            decisions=channels.decisions,
            orders=channels.orders,
            manners={task.id: manner_of(task) for task in self.loaded.plan.tasks},
        )

    def _liveness(self) -> Liveness:
        """In the innermost layer: it may write as long as anybody does, and nobody waits for it at the end."""
        folder, channels, roll = self.fleet.folder, self.channels, self.roll
        keeps_time = bool(roll.cares) or self.loaded.plan.standing
        return Liveness(
            folder=folder,
            subscribe=channels.requests,
            outbox=channels.events,
            inspect=partial(Inspector, folder, roll.markers),
            policies=roll.policies,
            remedies=Remedies(care=roll.care, orders=channels.orders, decisions=channels.decisions),
            deadlines=Deadlines(cares=roll.cares, orders=channels.orders) if keeps_time else None,
            heartbeat=self.settings.liveness.heartbeat,
        )

    def _control_port(self, commander: Commander) -> ControlPort:
        folder, channels, plan = self.fleet.folder, self.channels, self.loaded.plan
        return ControlPort(
            path=folder.control_socket,
            journal=folder.journal,
            subscribe=channels.requests,
            outbox=channels.decisions,
            picture=self.picture,
            inputs=self._inputs(),
            commander=commander,
            greetings=channels.greetings if plan.standing or any(task.instance for task in plan.tasks) else None,
        )

    def _commander(self) -> FleetCommander:
        admission = None
        if self.loaded.plan.standing:
            from supervisor.submissions import Submissions  # noqa: PLC0415 - no other fleet takes tasks

            admission = Submissions(folder=self.fleet.folder, roll=self.roll, grace=self.settings.stop.grace)
        reaching = Reaching(picture=self.picture, orders=self.channels.orders, outbox=self.channels.events)
        return FleetCommander(
            reaching=reaching,
            folder=self.fleet.folder,
            picture=self.picture,
            decisions=self.channels.decisions,
            inputs=self._inputs(),
            admission=admission,
            leaving=self.leaving,
        )

    def _inputs(self) -> Inputs:
        channels = self.channels
        workers = WorkerCommands(picture=self.picture, orders=channels.orders, queue=channels.enqueues)
        return Inputs(fleet=self.fleet.identity.fleet, workers=workers)

    async def _run_queue(self, commander: Commander, *, task_status: trio.TaskStatus[None]) -> None:
        folder, channels = self.fleet.folder, self.channels
        queue = CommandQueue(
            path=folder.commands,
            inbox=channels.to_queue,
            outbox=channels.events,
            picture=self.picture,
            delivery=Delivery(orders=channels.orders, commander=commander),
            proofs=Proofs(folder=folder, orders=channels.orders, picture=self.picture),
        )
        try:
            await queue.run(task_status=task_status)
        finally:
            self._queue_over.set()

    async def close(self) -> None:
        """All is decided: nobody gives a command any more, and what became of the last ones is told."""
        self.channels.enqueues.close()
        with trio.move_on_after(_LAST_WORDS) as scope:
            await self._queue_over.wait()
        if scope.cancelled_caught:
            logger.warning("the end of some commands is not told yet; the next callboard on this run tells it")
