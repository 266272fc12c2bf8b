"""The arrows between the actors of a run."""

from dataclasses import dataclass

import trio

from actors.command_queue import Enqueue
from actors.messages import Append, FollowRequest, Greeting, Subscribe
from actors.orders import Decision, KeeperAsk, Order
from protocols.events import Record

__all__ = ["Channels", "open_channels"]


@dataclass(slots=True)
class Channels:
    """All arrows of a run: each send end belongs to the layer whose actors use it."""

    records: trio.MemorySendChannel[Record]
    to_hub: trio.MemoryReceiveChannel[Record]
    requests: trio.MemorySendChannel[Subscribe]
    to_admit: trio.MemoryReceiveChannel[Subscribe]
    events: trio.MemorySendChannel[Append]
    to_journal: trio.MemoryReceiveChannel[Append]
    asks: trio.MemorySendChannel[KeeperAsk]
    to_keeper: trio.MemoryReceiveChannel[KeeperAsk]
    log_asks: trio.MemorySendChannel[KeeperAsk]
    to_logfiles: trio.MemoryReceiveChannel[KeeperAsk]
    follows: trio.MemorySendChannel[FollowRequest]
    to_follower: trio.MemoryReceiveChannel[FollowRequest]
    tmux_asks: trio.MemorySendChannel[KeeperAsk]
    to_tmux: trio.MemoryReceiveChannel[KeeperAsk]
    instance_asks: trio.MemorySendChannel[KeeperAsk]
    to_instances: trio.MemoryReceiveChannel[KeeperAsk]
    greetings: trio.MemorySendChannel[Greeting]
    to_welcome: trio.MemoryReceiveChannel[Greeting]
    session_asks: trio.MemorySendChannel[KeeperAsk]
    to_sessions: trio.MemoryReceiveChannel[KeeperAsk]
    orders: trio.MemorySendChannel[Order]
    to_roster: trio.MemoryReceiveChannel[Order]
    decisions: trio.MemorySendChannel[Decision]
    to_orchestrator: trio.MemoryReceiveChannel[Decision]
    enqueues: trio.MemorySendChannel[Enqueue]
    to_queue: trio.MemoryReceiveChannel[Enqueue]


def open_channels() -> Channels:
    return Channels(
        *trio.open_memory_channel[Record](1024),
        *trio.open_memory_channel[Subscribe](4),
        *trio.open_memory_channel[Append](1024),
        *trio.open_memory_channel[KeeperAsk](256),
        *trio.open_memory_channel[KeeperAsk](64),
        *trio.open_memory_channel[FollowRequest](256),
        *trio.open_memory_channel[KeeperAsk](256),
        *trio.open_memory_channel[KeeperAsk](256),
        *trio.open_memory_channel[Greeting](64),
        *trio.open_memory_channel[KeeperAsk](256),
        *trio.open_memory_channel[Order](64),
        *trio.open_memory_channel[Decision](64),
        *trio.open_memory_channel[Enqueue](64),
    )
