"""Which actors serve the tasks that are not the keeper's, imported only where there are such tasks."""

import os
from collections.abc import Mapping

import trio

from actors.messages import Append
from actors.orders import KeeperAsk
from protocols.instances import ROOT
from protocols.layout import FleetFolder
from protocols.resumption import Resumption
from protocols.secrets import SecretSource
from supervisor.channels import Channels
from supervisor.children import Child
from supervisor.fleets import NewFleet
from supervisor.instance_plans import own_bounds
from supervisor.plans import LoadedPlan

__all__ = ["instance_child", "logfile_child", "session_child", "tmux_child"]


def logfile_child(
    folder: FleetFolder, asks: trio.MemoryReceiveChannel[KeeperAsk], keeper: trio.MemorySendChannel[KeeperAsk]
) -> Child:
    """For the tasks that follow a log file. Its failure ends the run, as the keeper's does."""
    from actors.sources.logfile import LogfileSource  # noqa: PLC0415 - who follows none need not have it in memory

    return Child("log files", LogfileSource(folder=folder, asks=asks, keeper=keeper).run, limit=0)


def instance_child(fleet: NewFleet, loaded: LoadedPlan, resumption: Resumption | None, channels: Channels) -> Child:
    """For the tasks that are instances. Its failure ends the run, as the keeper's does."""
    from actors.sources.instance import InstanceSource  # noqa: PLC0415 - as above

    source = InstanceSource(
        folder=fleet.folder,
        path=ROOT if loaded.handover is None else loaded.handover.path,
        bounds=own_bounds(loaded.plan, loaded.bounds),
        standing=loaded.plan.standing,
        asks=channels.to_instances,
        keeper=channels.asks,
        greetings=channels.to_welcome,
        outbox=channels.events,
        links={} if resumption is None else resumption.links,
    )
    return Child("instances", source.run, limit=0)


def tmux_child(
    fleet: NewFleet,
    asks: trio.MemoryReceiveChannel[KeeperAsk],
    keeper: trio.MemorySendChannel[KeeperAsk],
    *,
    durable: bool,
) -> Child:
    """For the tasks in panes of tmux, ``durable`` if one of them is. Its failure ends the run, as the keeper's does."""
    from actors.sources.tmux import TmuxSource  # noqa: PLC0415 - as above

    source = TmuxSource(
        fleet=fleet.identity.fleet,
        folder=fleet.folder,
        environ=os.environ,
        asks=asks,
        keeper=keeper,
        attached=not durable,
    )
    return Child("tmux", source.run, limit=0)


def session_child(
    fleet: NewFleet,
    asks: trio.MemoryReceiveChannel[KeeperAsk],
    keeper: trio.MemorySendChannel[KeeperAsk],
    outbox: trio.MemorySendChannel[Append],
    secrets: Mapping[SecretSource, str],
) -> Child:
    """For the tasks with prompts. Its failure ends the run, as the keeper's does."""
    from actors.sources.session import SessionSource  # noqa: PLC0415 - as above

    source = SessionSource(
        fleet=fleet.identity.fleet,
        folder=fleet.folder,
        environ=os.environ,
        secrets=secrets,
        asks=asks,
        keeper=keeper,
        outbox=outbox,
    )
    return Child("sessions", source.run, limit=0)
