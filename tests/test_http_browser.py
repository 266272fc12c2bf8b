"""A page in a real browser: it gets in by a ticket, and its EventSource goes on where a restarted port goes on."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trio

from actors.feed import Feed
from actors.http_app import HttpSide, make_app
from actors.port.service import App, Message
from protocols.events import Event
from protocols.fleet_events import KeeperStarted
from tests.chromium import browsing
from tests.http_side import put_all
from tests.made_fleets import run_started
from tests.port_client import SECRET, open_port
from tests.port_rig import PortRig, open_fleet
from tests.require import program

_FIRST, _LAST = 300, 600
# EventSource comes back by itself when its connection breaks, and gives up where it is answered with an error.
_PAGE = b"""<!doctype html><title>events</title><script>
const seen = [];
const tell = text => fetch("/told", {method: "POST", body: text, headers: {"content-type": "text/plain"}});
const source = new EventSource("/api/events?after=0");
source.onmessage = event => {
    seen.push([event.lastEventId, JSON.parse(event.data).seq, document.cookie]);
    if (seen.length === %d) tell("half");
    if (seen.length === %d) { source.close(); tell(JSON.stringify(seen)); }
};
source.onerror = () => { if (source.readyState === EventSource.CLOSED) tell("given up behind " + seen.length); };
</script>""" % (_FIRST, _LAST)


@dataclass
class _Site:
    """The page, what it tells, and behind that the port's own routes."""

    app: App
    told: trio.MemorySendChannel[bytes]
    heard: trio.MemoryReceiveChannel[bytes]

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        match scope["path"]:
            case "/":
                await _answer(send, _PAGE)
            case "/told":
                await self.told.send((await receive())["body"])
                await _answer(send, b"")
            case _:
                await self.app(scope, receive, send)


async def _answer(send: Callable[[Message], Awaitable[None]], body: bytes) -> None:
    headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _news(first: int, last: int) -> list[Event]:
    return [KeeperStarted(at=0.0, pid=number, generation=1) for number in range(first, last + 1)]


@asynccontextmanager
async def _site(folder: Path) -> AsyncIterator[tuple[PortRig, _Site]]:
    async with open_fleet(folder, [run_started("a")]) as fleet, trio.open_nursery() as nursery:
        feed = Feed(journal=fleet.folder.journal, subscribe=fleet.rig.requests)
        await nursery.start(feed.run)
        app = make_app(HttpSide(dispatcher=fleet.dispatcher, feed=feed, version="1.2"))
        told, heard = trio.open_memory_channel[bytes](10)
        with told, heard:
            yield fleet, _Site(app, told, heard)
        nursery.cancel_scope.cancel(reason="the test is done")


async def _ticket(url: str) -> str:
    """Where a browser gets in, once."""
    headers = {"authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=None, trust_env=False) as client:
        return url + str((await client.post("/api/tickets")).json()["path"])


@pytest.mark.deadline(90)  # a browser takes a second or two to start, on a busy machine much longer
async def test_a_page_gets_every_event_once_over_a_restart_of_the_port(tmp_path: Path) -> None:
    program("chromium", "install chromium")
    async with _site(tmp_path) as (fleet, site):
        with ExitStack() as browser:
            async with open_port(tmp_path, app=site) as first:
                browser.enter_context(browsing(tmp_path, await _ticket(f"http://{first.url}")))
                await put_all(fleet.rig, *_news(2, _FIRST))
                half = await site.heard.receive()
            await put_all(fleet.rig, *_news(_FIRST + 1, _LAST))  # while nobody listens
            async with open_port(tmp_path, app=site, number=first.number):
                seen = await site.heard.receive()

    assert half == b"half"
    assert json.loads(seen) == [[f"aaaaaaaa:{seq}", seq, ""] for seq in range(1, _LAST + 1)]
