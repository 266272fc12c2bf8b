"""The log of what a server said about nobody: one line for each, in bounds, without holding up anybody."""

from pathlib import Path

import msgspec
import pytest
import trio

from actors.server_log import ServerLog
from protocols.opencode import Envelope

__all__: list[str] = []


def _event(number: int, text: bytes = b"") -> Envelope:
    return Envelope(f"e{number}", "x", "/d", "s", "", text or b'{"id":"e%d"}' % number, 5.0)


async def _written(log: ServerLog, path: Path, lines: int) -> list[object]:
    """Wait for so many lines."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        while _count(path) < lines:  # noqa: ASYNC110 - a file has no event
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    return _read(path)


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _read(path: Path) -> list[object]:
    return [msgspec.json.decode(line) for line in path.read_bytes().split(b"\n")[:-1]]


async def test_each_event_is_one_line_of_json_whatever_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = ServerLog(path=path, limiter=trio.CapacityLimiter(1))

    assert log.put(_event(1, b'{\r\n"id":\n"e1"}'))
    assert log.put(_event(2))

    assert await _written(log, path, 2) == [{"at": 5.0, "directory": "/d", "event": {"id": f"e{n}"}} for n in (1, 2)]


async def test_it_goes_on_where_an_earlier_one_ended_and_stops_at_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"{}\n" * 30)
    log = ServerLog(path=path, limiter=trio.CapacityLimiter(1), most=200)
    for number in range(9):
        assert log.put(_event(number))

    await _written(log, path, 32)

    assert len(path.read_bytes()) <= 200
    assert not log.put(_event(9))


async def test_what_the_disk_does_not_take_in_time_is_refused(tmp_path: Path) -> None:
    log = ServerLog(path=tmp_path / "log", limiter=trio.CapacityLimiter(1))

    taken = [log.put(_event(number)) for number in range(300)]

    assert (taken[0], taken[-1]) == (True, False)


async def test_a_folder_that_is_gone_ends_the_log_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = ServerLog(path=tmp_path / "nowhere" / "log", limiter=trio.CapacityLimiter(1))
    log.put(_event(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        while log.put(_event(2)):  # noqa: ASYNC110 - it says so by nothing else
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()

    assert "No such file" in caplog.text
