"""One run from its first to its last record: who starts in which order, and ends in the opposite one."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import trio

from actors.display import JsonText, LiveText, PlainText
from actors.door import Door
from actors.fan_outs import FanOuts
from actors.follower import Follower
from actors.hub import Hub
from actors.journal import Journal
from actors.keeper import Keeper
from actors.keeper_link import become_subreaper
from actors.leaving import Leaving
from actors.ledger import open_file_ledger
from actors.limits import raise_open_files
from actors.messages import Append
from actors.orchestrator import Orchestrator
from actors.orders import KeeperAsk, StopRun
from actors.roster import Roster
from actors.source import Sources
from actors.spawn_request import Surroundings
from protocols.board import SIGNAL
from protocols.fleet_events import ActorFailed, SupervisorLeft
from protocols.interrupts import tell_order
from protocols.kinds import Outcome, Source
from protocols.ledger import Ledger
from protocols.resumption import Resumption
from supervisor.ancestry import end_if_orphaned
from supervisor.channels import Channels, open_channels
from supervisor.children import Child, supervise
from supervisor.displays import display_child
from supervisor.fleets import NewFleet
from supervisor.instance_plans import check_given
from supervisor.layers import layer
from supervisor.plans import LoadedPlan, load_source
from supervisor.roll import Roll
from supervisor.run_log import Sayer, saying
from supervisor.secrets import open_redactor
from supervisor.serving import Serve, Serving
from supervisor.settings import Settings
from supervisor.signals import obey_signals
from supervisor.sources import instance_child, logfile_child, session_child, tmux_child
from supervisor.spaces import open_workspaces

__all__ = ["Ending", "Run"]

_LEDGER = "ledger"
_DRAIN = 10.0  # for actors that have nothing to wait for but the disk
_LAST_LINES = 3.0  # for the reader of our output, once somebody wants the end


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run came to its end."""

    haste: str
    """Why it was left in haste; empty if it was not."""
    left: SupervisorLeft | None = None
    """It has not ended: the next supervisor goes on with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A loaded plan, the folder of its fleet, and how to show what happens."""

    fleet: NewFleet
    loaded: LoadedPlan
    settings: Settings
    text: JsonText | PlainText | LiveText
    fd: int = 1
    """Where ``text`` goes."""
    resumption: Resumption | None = None
    """Where an earlier supervisor has left it."""
    sayer: Sayer | None = None
    """Where it is a picture: who says in it what no record tells."""
    serve: Serve | None = None
    """Makes its port, where it has one."""
    _channels: Channels = field(default_factory=open_channels, init=False)
    _roll: Roll = field(init=False)
    _leaving: Leaving = field(init=False)

    def __post_init__(self) -> None:
        redactor = open_redactor(self.fleet.folder)
        roll = Roll.of(self.loaded, heartbeat=self.settings.liveness.heartbeat, redactor=redactor)
        object.__setattr__(self, "_roll", roll)
        leaving = Leaving(outbox=self._channels.events, restarts=self.loaded.plan.standing)
        object.__setattr__(self, "_leaving", leaving)

    async def run(self) -> Ending:
        """Run the plan to its end, whatever that is.

        Afterwards no actor runs and the journal is closed. Errors of actors come out in exception groups.
        """
        become_subreaper()
        raise_open_files()
        haste: list[str] = []
        left: list[SupervisorLeft] = []
        with trio.CancelScope() as everything:

            async def stop(order: StopRun) -> None:
                await end_if_orphaned(self.loaded.handover)
                if self.sayer is not None:  # its record may have to wait for the disk
                    self.sayer.say(SIGNAL, tell_order(order.reason, order.grace))
                try:
                    await self._channels.decisions.send(order)
                except (trio.BrokenResourceError, trio.ClosedResourceError):  # all is done but the writing
                    patience = _LAST_LINES if order.grace is None else 0
                    everything.deadline = min(everything.deadline, trio.current_time() + patience)

            def leave(reason: str) -> None:
                haste.append(reason)
                everything.cancel(reason=reason)

            async def leave_in_order() -> None:
                left.append(await self._leaving.wait())
                everything.cancel(reason="the run is left to the next supervisor")

            async with trio.open_nursery() as nursery:
                await nursery.start(obey_signals, stop, leave)
                nursery.start_soon(leave_in_order)
                await self._publish(everything)
                nursery.cancel_scope.cancel(reason="the run has ended")
        if everything.cancelled_caught and left and not haste:
            return Ending("", left[0])
        if everything.cancelled_caught and not haste:
            haste.append("the last of its output was not read")
        return Ending("; ".join(haste))

    async def _publish(self, everything: trio.CancelScope) -> None:
        """The outer layers: what happens is written down, then shown.

        A reader of our output may pause for hours and come back: it is waited for, unless somebody wants the end.
        """
        channels, folder = self._channels, self.fleet.folder
        hub = Hub(inbox=channels.to_hub, requests=channels.to_admit)
        redactor = self._roll.redactor
        journal = Journal(path=folder.journal, inbox=channels.to_journal, outbox=channels.records, redactor=redactor)
        after = 0 if self.resumption is None else self.resumption.last_seq
        display = display_child(self.text, folder, channels.requests, self.fd, after=after)
        async with layer(drain=math.inf) as publishing:
            await self._start(publishing, Child("hub", hub.run))
            async with layer(channels.records, drain=_DRAIN) as keeping:
                await self._start(keeping, Child("journal", journal.run))
                await self._start(publishing, display)
                outcome = await self._work()
            if outcome == "interrupted":
                everything.deadline = trio.current_time() + _LAST_LINES

    async def _work(self) -> Outcome:
        """The inner layers: workers run, somebody decides, somebody may ask. Their state is in their locals, so
        the first failure of keeper, roster or orchestrator ends the run, in order."""
        channels = self._channels
        fleet, flush = self.fleet.identity.fleet, self.settings.stream.flush_interval
        keeper = Keeper(
            folder=self.fleet.folder,
            fleet=fleet,
            asks=channels.to_keeper,
            outbox=channels.events,
            durable=self.loaded.plan.standing or any(task.durable for task in self.loaded.plan.tasks),
            resumption=self.resumption,
        )
        follower = Follower(requests=channels.to_follower, flush_interval=flush)
        roster = Roster(inbox=channels.to_roster, outbox=channels.decisions, around=self._surroundings())
        async with layer(channels.events, drain=_DRAIN) as hosting:
            await self._start(hosting, Child("keeper", keeper.run, limit=0))
            await self._start(hosting, Child("follower", follower.run))
            async with layer(channels.asks, channels.follows, drain=_DRAIN) as sourcing:
                for child in self._source_children():
                    await self._start(sourcing, child)
                patience = _DRAIN + self._longest_grace()
                asking = (channels.log_asks, channels.tmux_asks, channels.session_asks, channels.instance_asks)
                async with layer(*asking, drain=patience) as working:
                    await self._start(working, Child("roster", roster.run, limit=0))
                    async with open_file_ledger(self.fleet.folder.ledger, saying(self.sayer, _LEDGER)) as ledger:
                        return await self._decide(ledger)

    def _source_children(self) -> Iterator[Child]:
        """The sources that some task has, besides the keeper."""
        channels, tasks, standing = self._channels, self.loaded.plan.tasks, self.loaded.plan.standing
        if self._follows_files():
            yield logfile_child(self.fleet.folder, channels.to_logfiles, channels.asks)
        in_tmux = [task for task in tasks if task.source == "tmux"]
        if in_tmux or standing:
            durable = standing or any(task.durable for task in in_tmux)
            yield tmux_child(self.fleet, channels.to_tmux, channels.asks, durable=durable)
        if standing or any(task.instance is not None for task in tasks):
            yield instance_child(self.fleet, self.loaded, self.resumption, channels)
        if standing or any(task.prompting is not None for task in tasks):
            yield session_child(self.fleet, channels.to_sessions, channels.asks, channels.events, self._roll.secrets)

    def _other_sources(self) -> dict[Source, trio.MemorySendChannel[KeeperAsk]]:
        logfiles: dict[Source, trio.MemorySendChannel[KeeperAsk]] = {"logfile": self._channels.log_asks}
        others: dict[Source, trio.MemorySendChannel[KeeperAsk]] = {
            "tmux": self._channels.tmux_asks,
            "session": self._channels.session_asks,
            "instance": self._channels.instance_asks,
        }
        return {**others, **(logfiles if self._follows_files() else {})}

    async def _decide(self, ledger: Ledger) -> Outcome:
        channels, identity, decided = self._channels, self.fleet.identity, trio.Event()
        outcomes: list[Outcome] = []
        orchestrator = Orchestrator(
            run_id=identity.run,
            plan=self.loaded.plan,
            plan_path=identity.plan,
            version=identity.version,
            pid=identity.pid,
            ledger=ledger,
            fan_outs=FanOuts(self.fleet.folder.root),
            inbox=channels.to_orchestrator,
            resumption=self.resumption,
            roster=channels.orders,
            outbox=channels.events,
            door=Door(self.settings.admission),
        )

        async def conduct(*, task_status: trio.TaskStatus[None]) -> None:
            with channels.to_orchestrator:
                outcomes.append(await orchestrator.run(task_status=task_status))
            decided.set()

        async with layer(channels.orders, channels.decisions, drain=_DRAIN) as deciding:
            await self._start(deciding, Child("orchestrator", conduct, limit=0))
            async with layer(drain=0) as serving:
                around = self._serving()
                for child in around.children():
                    await self._start(serving, child)
                await decided.wait()
                await around.close()
        self.fleet.folder.control_socket.unlink(missing_ok=True)
        return outcomes[0]

    def _surroundings(self) -> Surroundings:
        identity, channels = self.fleet.identity, self._channels
        return Surroundings(
            fleet=identity.fleet,
            folder=self.fleet.folder,
            boot_id=identity.boot_id,
            pid_namespace=identity.pid_namespace,
            environ=os.environ,
            executables=self._roll.executables,
            sources=Sources(channels.asks, self._other_sources()),
            follower=channels.follows,
            outbox=channels.events,
            linger=self.settings.stop.linger,
            heartbeat=self.settings.liveness.heartbeat,
            secrets=self._roll.secrets,
            redactor=self._roll.redactor,
            check_plan=check_given(
                self.loaded.plan, self.loaded.bounds, load_source, base=os.environ, secrets=self.loaded.secrets
            ),
            workspaces=open_workspaces(
                self.fleet, self.loaded.plan, self._roll.tasks, self.resumption, channels.asks, channels.events
            ),
        )

    def _follows_files(self) -> bool:
        plan = self.loaded.plan
        return plan.standing or any(task.logfile is not None for task in plan.tasks)

    def _longest_grace(self) -> float:
        return max((task.grace for task in self._roll.tasks.values()), default=self.loaded.plan.grace)

    def _serving(self) -> Serving:
        return Serving(
            fleet=self.fleet,
            loaded=self.loaded,
            settings=self.settings,
            resumption=self.resumption,
            channels=self._channels,
            roll=self._roll,
            leaving=self._leaving if self.fleet.identity.durable == "all" else None,
            serve=self.serve,
        )

    async def _start(self, nursery: trio.Nursery, child: Child) -> None:
        await nursery.start(partial(supervise, child, self._report))

    async def _report(self, failure: ActorFailed) -> None:
        await self._channels.events.send(Append(failure))
