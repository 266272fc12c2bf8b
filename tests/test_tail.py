"""The last lines over two streams, compared with a model that sees all of both."""

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols.board import OutputRange
from protocols.kinds import Stream
from protocols.lines import strip_ansi
from protocols.tail import LONGEST, TAIL, last_lines

Write = tuple[Stream, bytes]

_ATOMS = [b"\n", b"\r", b"\r\n", b"a", b" ", b"10%", b"\x1b[31m", "é".encode(), "漢字".encode(), b"z" * 300, b"\xff"]
_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
writes: st.SearchStrategy[list[Write]] = st.lists(
    st.tuples(st.sampled_from(_STREAMS), st.lists(st.sampled_from(_ATOMS), max_size=6).map(b"".join)), max_size=9
)


class Worker:
    """What two streams hold, and in what order it came."""

    def __init__(self, *written: Write) -> None:
        self.data: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self.ranges: list[OutputRange] = []
        self.looked = 0
        for stream, data in written:
            start = len(self.data[stream])
            self.data[stream] += data
            self.ranges.append(OutputRange(stream, start, len(self.data[stream])))

    def read(self, stream: Stream, end: int) -> bytes:
        data = self.data[stream][max(end - TAIL, 0) : end]
        self.looked += len(data)
        return data

    def last(self, most: int, columns: int = 400) -> list[str]:
        return list(last_lines(self.ranges, self.read, most=most, columns=columns))


def merged(written: Sequence[Write]) -> list[Write]:
    """The same with neighbours of one stream as one."""
    found: list[Write] = []
    for stream, data in written:
        if found and found[-1][0] == stream:
            found[-1] = (stream, found[-1][1] + data)
        else:
            found.append((stream, data))
    return found


def model(written: Sequence[Write]) -> list[str]:
    """All lines: each at the write that ended it, what is unfinished at the last write of its stream."""
    places: dict[tuple[int, int], bytes] = {}
    for stream in _STREAMS:
        own = [index for index, (of, data) in enumerate(written) if of == stream and data]
        ends = list(accumulate(len(written[index][1]) for index in own))
        *ended, unfinished = b"".join(written[index][1] for index in own).split(b"\n")
        at = 0
        for line in ended:
            at += len(line) + 1
            places[next(index for index, end in zip(own, ends, strict=True) if at <= end), at] = line
        if own:
            places[own[-1], at + len(unfinished) + 1] = unfinished
    seen = [_seen(places[place])[: 3 * 400] for place in sorted(places)]
    return [text for text in seen if text]


def _seen(line: bytes) -> str:
    texts = [strip_ansi(text).rstrip() for text in line.decode("utf-8", "replace").split("\r")]
    return ["", *(text for text in texts if text)][-1]


def is_short(worker: Worker) -> bool:
    return all(len(line) < LONGEST for data in worker.data.values() for line in data.split(b"\n"))


@given(writes, st.integers(1, 8))
@example([("stdout", b"z" * 300 * 6 + b"\n")] * 6, 3)
@example([("stdout", b"pa"), ("stderr", b"between\n"), ("stdout", b"rt\nun"), ("stderr", b"\n")], 8)
def test_however_two_streams_were_written_the_last_lines_are_those_of_all(written: list[Write], most: int) -> None:
    for found in (written, merged(written)):
        worker = Worker(*found)

        lines = worker.last(most)

        assert lines == model(found)[-most:] if is_short(worker) else len(lines) <= most


@given(writes, st.integers(0, 8), st.integers(1, 200))
def test_no_line_is_empty_too_long_or_holds_a_control_character(written: list[Write], most: int, columns: int) -> None:
    lines = Worker(*written).last(most, columns)

    assert len(lines) <= most
    assert all(line.strip() and len(line) <= 3 * columns and line.isprintable() for line in lines)


@given(st.lists(st.tuples(st.sampled_from(_STREAMS), st.binary(max_size=9000)), max_size=8), st.integers(1, 40))
def test_any_bytes_give_lines_within_the_bounds(written: list[Write], most: int) -> None:
    worker = Worker(*written)

    lines = worker.last(most, 80)

    assert len(lines) <= most
    assert worker.looked <= len(written) * TAIL + 8 * TAIL
    assert all(len(line) <= 240 for line in lines)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"10%\r20%\r30%", "30%"),
        (b"10%\r20%\r30%\r", "30%"),
        (b"10%\r20%\rdone\n", "done"),
        (b"done\r\n", "done"),
        (b"done\r\r\n", "done"),
        (b"50%\r       \r", "50%"),
        (b"\x1b[1mbold\x1b[0m\x1b[K\r\x1b[K", "bold"),
        (b"  indented  \n", "  indented"),
        (b"a\tb\n", "a       b"),
        (b"bell\x07 and \x1b]0;title\x07more\x00\n", "bell and more"),
    ],
)
def test_a_line_is_shown_as_it_is_to_be_seen(data: bytes, line: str) -> None:
    assert Worker(("stdout", data)).last(2) == [line]


def test_escapes_are_gone_before_a_line_is_cut() -> None:
    assert Worker(("stdout", b"\x1b[31m" * 100 + b"red\x1b[0m\n")).last(1, columns=1) == ["red"]


@pytest.mark.parametrize("data", [b"", b"\n\n\n", b"\r\n \t\r\n", b"\x1b[31m\x1b[0m\n", b"\x00\x07\n"])
def test_what_holds_nothing_to_see_takes_no_place_among_the_lines(data: bytes) -> None:
    assert Worker(("stdout", b"one\n"), ("stdout", data)).last(2) == ["one"]


def test_an_unfinished_line_stands_where_its_stream_grew_last() -> None:
    worker = Worker(("stdout", b"one\ntw"), ("stderr", b"oh\n"))

    assert worker.last(3) == ["one", "tw", "oh"]


def test_a_line_that_is_finished_later_stands_where_it_was_finished() -> None:
    worker = Worker(("stdout", b"tw"), ("stderr", b"oh\n"), ("stdout", b"o\n"))

    assert worker.last(3) == ["oh", "two"]


def test_a_line_may_begin_long_before_the_ranges_that_are_known() -> None:
    worker = Worker(("stdout", b"one\ntwo and "), ("stdout", b"a half"), ("stderr", b"oh\n"))
    del worker.ranges[0]

    assert worker.last(3) == ["two and a half", "oh"]


def test_a_character_that_is_half_written_is_not_shown_yet() -> None:
    worker = Worker(("stdout", b"caf" + "é".encode()[:1]))

    assert worker.last(1) == ["caf"]


def test_of_a_giant_line_the_end_is_shown_behind_a_mark() -> None:
    worker = Worker(("stdout", b"x" * 100_000 + b" and the end"))

    assert worker.last(3, 48) == ["…" + "x" * (39 - len(" and the end")) + " and the end"]


@pytest.mark.parametrize("before", range(4))
def test_of_a_giant_line_of_wide_characters_no_more_is_shown_than_fits(before: int) -> None:
    worker = Worker(("stdout", b"x" * before + "漢".encode() * 50_000))

    assert worker.last(1, 48) == ["…" + "漢" * 19]


@pytest.mark.parametrize("before", range(4))
def test_where_the_look_begins_within_a_character_nothing_of_it_is_shown(before: int) -> None:
    worker = Worker(("stdout", b"x" * 5000 + "é".encode() * (TAIL // 2) + b"!" * before))

    (line,) = worker.last(1, 2 * TAIL)

    assert set(line) <= {"…", "é", "!"}


def test_of_a_progress_bar_that_went_on_for_hours_the_last_state_is_shown() -> None:
    worker = Worker(("stdout", b"".join(b"\r%5d of 99999" % number for number in range(9_000))))

    assert worker.last(3) == [" 8999 of 99999"]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_what_comes_behind_a_giant_line_is_shown_whole(end: bytes) -> None:
    worker = Worker(("stdout", b"x" * 10_000 + b"\nshort" + end))

    assert worker.last(3, 48) == ["…" + "x" * 39, "short"]


def test_where_lines_are_too_far_back_those_before_them_are_not_shown() -> None:
    worker = Worker(("stderr", b"old\n"), ("stdout", (b"y" * 999 + b"\n") * 100), ("stderr", b"new\n"))

    lines = worker.last(99)

    assert lines[-1] == "new" and len(lines) > 10
    assert set(lines[:-1]) == {"y" * 999}


def test_a_line_whose_bytes_cannot_be_had_is_left_out() -> None:
    ranges = [OutputRange("stdout", 0, 10), OutputRange("stderr", 0, 4)]

    lines = last_lines(ranges, lambda stream, _: b"oh!\n" if stream == "stderr" else b"", most=4, columns=80)

    assert lines == ("oh!",)


@pytest.mark.parametrize("data", [b"\n", b"x", b"\r", b"\x1b", "漢".encode()])
def test_a_worker_that_prints_no_lines_at_all_is_not_looked_through_without_end(data: bytes) -> None:
    worker = Worker(("stderr", b"oh\n"), ("stdout", data * (1024 * 1024 // len(data))))

    assert len(worker.last(8)) <= 1
    assert worker.looked <= 8 * TAIL
