"""The link to an instance: a socket that lies, breaks and goes away, and the journal behind it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.journal_file import open_journal
from actors.link import Link
from actors.messages import Append
from actors.unix_socket import bind_unix
from protocols.event_codec import encode_record
from protocols.events import InstanceRecord, OwnEvent, Record
from protocols.ids import RunId, TaskId
from protocols.layout import FleetFolder
from protocols.states import InstanceLink
from tests.made_fleets import run_ended, run_started, status

_CHANGES = [status("x", "running", attempt=each) for each in range(1, 30)]
_EVENTS: list[OwnEvent] = [run_started("x"), *_CHANGES, run_ended()]
_RECORDS = [Record(seq, event) for seq, event in enumerate(_EVENTS, 1)]


def _line(record: Record) -> bytes:
    return b'{"jsonrpc":"2.0","method":"record","params":%b}\n' % encode_record(record)


@asynccontextmanager
async def _linked(folder: FleetFolder, last: int = 0) -> AsyncIterator[tuple[Link, Callable[[], list[Record]]]]:
    """A link, and what it has told so far."""
    outbox, inbox = trio.open_memory_channel[Append](1000)
    limiter = trio.CapacityLimiter(2)
    intake = InstanceLink(RunId("r"), last)
    link = Link(task=TaskId("a"), folder=folder, intake=intake, outbox=outbox, limiter=limiter, pause=0.001)
    told: list[Record] = []

    def read() -> list[Record]:
        while inbox.statistics().current_buffer_used:
            event = inbox.receive_nowait().event
            assert isinstance(event, InstanceRecord) and event.path == "a"
            told.append(Record(event.numbers[0], event.event))
        return told

    with outbox, inbox:
        yield link, read


async def _serve(folder: FleetFolder, answers: Sequence[bytes], asked: list[int]) -> None:
    """Each connection gets the next answer, whatever it asks for, and is closed."""
    listener = trio.socket.from_stdlib_socket(bind_unix(folder.control_socket))
    with listener:
        for answer in answers:
            connection, _ = await listener.accept()
            async with trio.SocketStream(connection) as stream:
                request = msgspec.json.decode(await stream.receive_some())
                asked.append(request["params"]["after"])
                with suppress(trio.BrokenResourceError):  # it has seen enough
                    await stream.send_all(b'{"jsonrpc":"2.0","id":1,"result":{"after":0}}\n' + answer)
    folder.control_socket.unlink()


def _journal(path: Path, records: Sequence[Record]) -> FleetFolder:
    folder = FleetFolder(path)
    file = open_journal(folder.journal)
    file.append([record.event for record in records])
    file.close()
    return folder


async def test_a_socket_that_is_gone_is_replaced_by_the_journal(tmp_path: Path) -> None:
    async with _linked(_journal(tmp_path, _RECORDS), last=4) as (link, told):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run)
            while link.intake.last < len(_RECORDS):  # noqa: ASYNC110 - its thread
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()

        assert told() == _RECORDS[4:]
        assert link.end == _EVENTS[-1]


async def test_an_instance_without_a_journal_tells_nothing(tmp_path: Path) -> None:
    async with _linked(FleetFolder(tmp_path)) as (link, told):
        await link.catch_up()

        assert told() == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_socket_tells_each_record_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """It is cut within a line, repeats what was told, leaves out some, and talks nonsense."""
    answers = []
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(_RECORDS)))
        lines = b"".join(map(_line, _RECORDS[begin : data.draw(st.integers(begin, len(_RECORDS)))]))
        rest = data.draw(st.sampled_from([b"", b"nonsense\n", b"{}\n", _line(_RECORDS[-1])]))
        answers.append(lines[: data.draw(st.integers(0, len(lines)))] + rest)
    folder, asked = _journal(tmp_path_factory.mktemp("link"), _RECORDS[:20]), list[int]()

    async def play() -> list[Record]:
        async with _linked(folder) as (link, told):
            with trio.fail_after(20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_serve, folder, answers, asked)
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(link.run)
                    while folder.control_socket.exists():  # noqa: ASYNC110 - nobody tells
                        await trio.sleep(0.001)
                    nursery.cancel_scope.cancel()
            _journal(folder.root, _RECORDS[20:])
            await link.catch_up()
            return told()

    assert trio.run(play) == _RECORDS
    assert asked == sorted(asked)
