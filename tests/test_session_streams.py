"""The real server, and what its sessions are told by it, through a connection that is spoilt."""

import base64
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from actors.session_messages import Connected, Disconnected, Endpoint, Reconcile, SessionInput
from protocols.opencode import Envelope, Snapshot
from tests.fault_proxy import faults, open_proxy
from tests.model_script import gate, run, say, script, spawn, think
from tests.opencode import OpenCode, open_opencode
from tests.scripted_model import ScriptedModel
from tests.session_streams import Listener, open_streams

__all__: list[str] = []

pytestmark = [pytest.mark.opencode, pytest.mark.deadline(90)]


async def test_eight_sessions_in_four_directories_each_get_all_of_their_events_and_none_of_another(
    server: OpenCode, tmp_path: Path
) -> None:
    directories = _directories(tmp_path, 4)
    async with open_streams(server.endpoint, tmp_path) as streams:
        listeners = [await streams.session(directories[number % 4]) for number in range(8)]
        with _witness(server, {each.id for each in listeners}) as witnessed:
            for number, each in enumerate(listeners):
                steps = (think(f"thinking {number}", size=4), say(f"I am {number}. ", times=9, size=5))
                await streams.prompt(each.id, script(*steps, run(f"echo ran {number}"), say("\u2028 " * 9, size=2)))
            expected = await trio.to_thread.run_sync(witnessed, abandon_on_cancel=True)

        for each in listeners:
            await each.until(_is(expected[each.id][-1]))
            came = [event.id for event in each.events]
            start = came.index(expected[each.id][0])
            assert came[start : start + len(expected[each.id])] == expected[each.id]
            assert {event.session for event in each.events} == {each.id}
            assert _streamed(each) == _texts(await streams.client.messages(each.id))
            assert len(_streamed(each)) == 2
        assert (streams.counts.duplicates, streams.counts.dropped, streams.counts.broken) == (0, 0, 0)


@pytest.mark.parametrize("how", ["cut off", "half open"])
async def test_what_ends_while_the_connection_is_gone_is_told_by_the_snapshot_after_it(
    server: OpenCode, model: ScriptedModel, tmp_path: Path, how: str
) -> None:
    (directory,) = _directories(tmp_path, 1)
    async with (
        open_proxy(server.port) as proxy,
        open_streams(Endpoint(proxy.url, server.password), tmp_path, patience=3.0) as streams,
    ):
        session = await streams.session(directory)
        await streams.prompt(session.id, script(say("Before it. ", times=9, size=9), gate(how), say("After it.")))
        await model.wait_reached(how)
        place = len(session.told)

        proxy.down = True
        if how == "half open":
            proxy.hold()
        else:
            await proxy.cut()
        model.open(how)
        await trio.to_thread.run_sync(_until_idle, server, directory, abandon_on_cancel=True)
        proxy.down = False
        gone = await session.until(lambda item: isinstance(item, Disconnected), place)
        back = await session.until(lambda item: isinstance(item, Connected), gone)
        snapshot = await session.finished(back)

        assert _texts(snapshot.messages) == {"Before it. " * 9 + "After it."}
        assert snapshot.status == b""


async def test_a_server_that_is_killed_and_started_again_is_another_one(model: ScriptedModel, tmp_path: Path) -> None:
    (directory,) = _directories(tmp_path, 1)
    with open_opencode(tmp_path / "server", model.url) as server:
        await _killed(server, model, tmp_path, directory)


async def _killed(server: OpenCode, model: ScriptedModel, tmp_path: Path, directory: Path) -> None:
    async with open_streams(server.endpoint, tmp_path) as streams:
        session = await streams.session(directory)
        await streams.prompt(session.id, script(say("Never done."), gate("never")))
        await model.wait_reached("never")

        server.kill()
        gone = await session.until(lambda item: isinstance(item, Disconnected))
        await trio.to_thread.run_sync(server.start)
        back = await session.until(lambda item: isinstance(item, Connected), gone)
        place = await session.until(lambda item: isinstance(item, Snapshot), back)

        assert session.told[back] == Connected(2)
        snapshot = session.told[place]
        assert isinstance(snapshot, Snapshot)
        assert (snapshot.known, snapshot.status) == (True, b"")
        assert "completed" not in msgspec.json.decode(snapshot.messages)[-1]["info"]["time"]


async def test_without_a_stream_of_all_directories_each_is_read_by_itself(server: OpenCode, tmp_path: Path) -> None:
    directories = _directories(tmp_path, 2)
    async with open_streams(server.endpoint, tmp_path, of_all=False) as streams:
        for number, directory in enumerate(directories):
            session = await streams.session(directory)
            await streams.prompt(session.id, script(say(f"I am {number}. ", times=5, size=4)))
            await session.until(lambda item: _type(item) == "session.idle")

            assert [each for each in session.told if isinstance(each, Connected)] == [Connected(1, str(directory))]
            assert _streamed(session) == {f"I am {number}. " * 5}


async def test_children_belong_to_their_root_and_what_they_ask_for_is_in_its_snapshot(
    model: ScriptedModel, tmp_path: Path
) -> None:
    (directory,) = _directories(tmp_path, 1)
    with open_opencode(tmp_path / "server", model.url, permission={"bash": "ask"}) as server:
        async with open_streams(server.endpoint, tmp_path) as streams:
            session = await streams.session(directory)
            await streams.prompt(session.id, script(spawn(run("echo asked")), say("The child is done.")))
            asked = session.told[await session.until(lambda item: _type(item) == "permission.asked")]
            assert isinstance(asked, Envelope)
            child = asked.session
            assert child != session.id

            await streams.to_router.send(Reconcile(child))
            waiting = await session.until(
                lambda item: (
                    isinstance(item, Snapshot) and item.session == session.id and child in str(item.permissions)
                )
            )
            root = session.told[waiting]
            assert isinstance(root, Snapshot)
            (permission,) = msgspec.json.decode(root.permissions)
            assert child in root.children.decode()
            await session.until(lambda item: isinstance(item, Snapshot) and item.session == child, waiting)
            await streams.client.reply_permission(
                permission["id"], "once", session=permission["sessionID"], directory=str(directory)
            )

            await session.until(lambda item: _type(item) == "session.idle" and _session(item) == session.id)
            assert "session.idle" in {event.type for event in session.events if event.session == child}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_to_the_connection_every_end_is_told_and_nothing_twice(
    server: OpenCode, tmp_path: Path, seed: int
) -> None:
    directories = _directories(tmp_path, 2)
    async with (
        open_proxy(server.port, faults(seed, 4), seed) as proxy,
        open_streams(Endpoint(proxy.url, server.password), tmp_path, patience=3.0, every=0.5) as streams,
    ):
        sessions = [await streams.session(directory, connected=False) for directory in directories]
        for each in sessions:
            await each.until(lambda item: isinstance(item, Connected))
            steps = say(f"{each.id} says this. ", times=60, size=9), run("echo x"), say("End.")
            await streams.prompt(each.id, script(*steps))

        for each in sessions:
            snapshot = await each.finished()
            ids = [event.id for event in each.events]
            assert len(ids) == len(set(ids))
            assert _texts(snapshot.messages) == {f"{each.id} says this. " * 60, "End."}
            assert {event.session for event in each.events} <= {each.id}


def _directories(folder: Path, count: int) -> list[Path]:
    found = [folder / f"work-{number}" for number in range(count)]
    for each in found:
        each.mkdir()
    return found


@contextmanager
def _witness(server: OpenCode, sessions: set[str]) -> Iterator[Callable[[], dict[str, list[str]]]]:
    """What gives the ids of the events of each session, read by other means, once each of them was idle."""
    known = base64.b64encode(f"opencode:{server.password}".encode()).decode()
    request = urllib.request.Request(f"{server.url}/global/event", headers={"authorization": f"Basic {known}"})
    with urllib.request.urlopen(request, timeout=60) as stream:
        stream.readline()

        def read() -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            idle: set[str] = set()
            while idle != sessions:
                line = stream.readline()
                payload: dict[str, Any] = {"type": "sync"}
                if line.startswith(b"data: "):
                    payload = json.loads(line[6:])["payload"]
                session = payload.get("properties", {}).get("sessionID")
                if payload["type"] != "sync" and session in sessions:
                    found.setdefault(session, []).append(payload["id"])
                    if payload["type"] == "session.idle":
                        idle.add(session)
            return found

        yield read


def _until_idle(server: OpenCode, directory: Path) -> None:
    while server.ask(f"/session/status?directory={directory}"):
        time.sleep(0.05)


def _texts(messages: bytes) -> set[str]:
    """What the agent has said, each part of it."""
    return {
        part["text"]
        for message in msgspec.json.decode(messages)
        for part in message["parts"]
        if message["info"]["role"] == "assistant" and part["type"] == "text"
    }


def _streamed(session: Listener) -> set[str]:
    """The same, put together from the pieces that were streamed."""
    text: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for event in session.events:
        about = msgspec.json.decode(event.payload)["properties"]
        if event.type == "message.part.delta":
            text[about["partID"]] = text.get(about["partID"], "") + about["delta"]
        elif event.type == "message.part.updated":
            kinds[about["part"]["id"]] = about["part"]["type"]
    return {said for part, said in text.items() if kinds[part] == "text"}


def _is(event: str) -> Callable[[SessionInput], bool]:
    return lambda item: isinstance(item, Envelope) and item.id == event


def _type(item: SessionInput) -> str:
    return item.type if isinstance(item, Envelope) else ""


def _session(item: SessionInput) -> str:
    return item.session if isinstance(item, Envelope) else ""
