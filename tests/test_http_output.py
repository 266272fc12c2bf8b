"""What a worker wrote, over HTTP: the exact bytes, whole or in part."""

import random
from pathlib import Path

import httpx
import pytest

from protocols.events import Event
from protocols.redaction import Redactor
from tests.http_side import open_side
from tests.made_fleets import exited, run_started, started, starting, status

_RUNNING: list[Event] = [run_started("lint"), starting("lint"), started("lint"), status("lint", "running")]
_ENDED: list[Event] = [*_RUNNING, exited("lint"), status("lint", "succeeded", attempt=1)]
_PATH = "/api/workers/lint/output"


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 3_000_001])
async def test_all_bytes_come_as_they_were_written(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    async with open_side(tmp_path, _RUNNING) as side:
        side.spool("lint", data)
        answer = await side.get(_PATH)

    assert answer.content == data
    assert answer.headers["content-length"] == str(size)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"


async def test_any_part_is_what_stands_there(tmp_path: Path) -> None:
    source = random.Random(7)
    data = source.randbytes(700_000)
    async with open_side(tmp_path, _RUNNING) as side:
        side.spool("lint", data)
        for _ in range(30):
            start = source.randrange(len(data))
            end = source.randrange(start, len(data) + 1000)
            answer = await side.get(_PATH, 206, range=f"bytes={start}-{end}")

            assert answer.content == data[start : end + 1]
            assert answer.headers["content-range"] == f"bytes {start}-{min(end, len(data) - 1)}/{len(data)}"
        assert (await side.get(_PATH, 206, range="bytes=-5")).content == data[-5:]
        assert (await side.get(_PATH, 206, range="bytes=699998-")).content == data[-2:]


async def test_a_part_behind_the_end_is_refused_with_the_size(tmp_path: Path) -> None:
    async with open_side(tmp_path, _RUNNING) as side:
        side.spool("lint", b"12345")
        answer = await side.get(_PATH, 416, range="bytes=5-")

        assert answer.headers["content-range"] == "bytes */5"
        assert answer.json()["where"] == "header Range"


async def test_streams_and_attempts_are_chosen_by_query(tmp_path: Path) -> None:
    again: list[Event] = [*_ENDED, starting("lint", 2), started("lint", 2)]
    async with open_side(tmp_path, again) as side:
        side.spool("lint", b"first")
        side.spool("lint", b"problem", "stderr")
        side.spool("lint", b"second", attempt=2)

        assert (await side.get(_PATH)).content == b"second"
        assert (await side.get(f"{_PATH}?attempt=1")).content == b"first"
        assert (await side.get(f"{_PATH}?attempt=1&stream=stderr")).content == b"problem"
        assert (await side.get(f"{_PATH}?stream=stderr")).content == b""
        assert (await side.get(_PATH)).headers["x-attempt"] == "2"


async def test_a_terminal_is_no_text(tmp_path: Path) -> None:
    events: list[Event] = [run_started("lint"), starting("lint", source="pty"), started("lint")]
    async with open_side(tmp_path, events) as side:
        side.spool("lint", b"\x1b[0m", "terminal")

        assert (await side.get(_PATH)).headers["content-type"] == "application/octet-stream"


async def test_a_download_goes_on_where_it_was_cut_off_while_more_is_written(tmp_path: Path) -> None:
    async with open_side(tmp_path, _RUNNING) as side:
        path = side.spool("lint", b"abc")
        tag = (await side.get(_PATH)).headers["etag"]
        path.write_bytes(b"abcdef")

        assert (await side.get(_PATH, 206, range="bytes=3-", if_range=tag)).content == b"def"
        assert (await side.get(_PATH, 200, range="bytes=3-", if_range='"other"')).content == b"abcdef"
        assert (await side.get(_PATH, 200, if_none_match=tag)).content == b"abcdef"


async def test_output_that_is_complete_need_not_be_sent_again(tmp_path: Path) -> None:
    async with open_side(tmp_path, _ENDED) as side:
        side.spool("lint", b"abc")
        tag = (await side.get(_PATH)).headers["etag"]

        assert (await side.get(_PATH, 304, if_none_match=f'"x", W/{tag}')).content == b""
        assert (await side.get(_PATH, 206, range="bytes=1-", if_range=tag)).content == b"bc"


async def test_each_attempt_and_stream_has_its_own_tag(tmp_path: Path) -> None:
    async with open_side(tmp_path, [*_ENDED, starting("lint", 2), started("lint", 2)]) as side:
        queries = ("attempt=1", "attempt=2", "attempt=1&stream=stderr", "attempt=2&stream=stderr")
        tags = {(await side.get(f"{_PATH}?{query}")).headers["etag"] for query in queries}

        assert len(tags) == len(queries)


@pytest.mark.parametrize("start", [0, 262_130, 262_140, 262_144, 262_150, 300_000])
async def test_a_secret_is_hidden_wherever_a_piece_ends(tmp_path: Path, start: int) -> None:
    secret = b"very-secret-words"
    data = b"x" * 262_135 + secret + b"y" * 300_000
    async with open_side(tmp_path, _RUNNING, redactor=Redactor.of_values([("KEY", secret.decode())])) as side:
        side.spool("lint", data)
        whole = (await side.get(_PATH)).content
        part = (await side.get(_PATH, 206, range=f"bytes={start}-")).content

    assert len(whole) == len(data) and secret not in whole and b"y" * 300_000 in whole
    assert part == whole[start:]


async def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection_and_nothing_else(tmp_path: Path) -> None:
    async with open_side(tmp_path, _RUNNING) as side:
        path = side.spool("lint", b"x" * 30_000_000)
        async with side.client.stream("GET", _PATH) as answer:
            path.write_bytes(b"")
            with pytest.raises(httpx.RemoteProtocolError):
                await answer.aread()

        assert (await side.get(_PATH)).content == b""
