"""The servers of a fleet: what is told of them to the journal."""

from pathlib import Path

import trio

from actors.messages import Append
from actors.orders import AskSpawn, KeeperAsk
from actors.session_servers import SessionServers
from protocols.agents import Agent
from protocols.ids import FleetId
from protocols.server_events import ServerEnded, ServerOther, ServerStarted
from tests.event_server import open_event_server
from tests.server_pools import fake_agent
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


async def test_sessions_that_are_durable_have_servers_of_their_own(tmp_path: Path) -> None:
    """Else those that are not would go on without a supervisor, too."""
    keeper, asked = trio.open_memory_channel[KeeperAsk](10)
    outbox, inbox = trio.open_memory_channel[Append](100)
    with keeper, asked, outbox, inbox:
        async with trio.open_nursery() as nursery:
            servers = SessionServers(
                fleet=FleetId("f" * 32), folder=tmp_path, environ={}, keeper=keeper, nursery=nursery, outbox=outbox
            )

            async def want(durable: bool) -> None:
                async with servers.lease(fake_agent(), "/work", durable=durable):
                    pass

            for durable in (False, True):
                nursery.start_soon(want, durable)
            asks = [await asked.receive() for _ in range(2)]
            nursery.cancel_scope.cancel(reason="all is known")

    starts = {Path(ask.request.cwd).parent.name: ask.request for ask in asks if isinstance(ask, AskSpawn)}
    assert {name: request.attached for name, request in starts.items()} == {"oc-1": True, "oc+durable-1": False}
