"""The servers of a fleet: what is told of them to the journal."""

from pathlib import Path

import trio

from actors.messages import Append
from actors.orders import KeeperAsk
from actors.session_servers import SessionServers
from protocols.agents import Agent
from protocols.ids import FleetId
from protocols.server_events import ServerEnded, ServerOther, ServerStarted
from tests.event_server import open_event_server
from tests.stream_server import event


async def test_events_of_types_that_nobody_knows_are_told_with_their_number_at_the_latest_at_the_end(
    tmp_path: Path,
) -> None:
    keeper, _ = trio.open_memory_channel[KeeperAsk](1)
    outbox, inbox = trio.open_memory_channel[Append](100)
    events = [event("new.thing", 1), event("new.thing", 2), event("other.thing", 3), event("session.idle", 4)]
    with open_event_server(events, []) as server, keeper, outbox, inbox:
        async with trio.open_nursery() as nursery:
            servers = SessionServers(
                fleet=FleetId("f" * 32), folder=tmp_path, environ={}, keeper=keeper, nursery=nursery, outbox=outbox
            )
            async with servers.lease(Agent(name="there", attach=server.url), "/work"):
                await trio.to_thread.run_sync(server.wait_for_last)
            servers.stop()
        told = [inbox.receive_nowait().event for _ in range(inbox.statistics().current_buffer_used)]

    assert {(each.name, each.count) for each in told if isinstance(each, ServerOther)} == {
        ("new.thing", 2),
        ("other.thing", 1),
    }
    assert [type(each) for each in told if not isinstance(each, ServerOther)] == [ServerStarted, ServerEnded]
