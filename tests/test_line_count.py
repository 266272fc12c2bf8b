"""Counts and estimates of lines."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.line_count import LineCount, total_lines

outputs = st.lists(st.sampled_from([b"\n", b"a", b"word", b"\r\n", b"x" * 70]), max_size=40).map(b"".join)


@given(outputs, st.lists(st.integers(0, 3000)))
def test_how_the_output_was_cut_makes_no_difference(output: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]

    count = LineCount()
    for start, end in pairwise(edges):
        count = count.extended(output[start:end])

    assert count == LineCount().extended(output)
    assert count.counted == len(output)
    assert count.lines == len(output.splitlines())


@pytest.mark.parametrize(
    ("output", "lines"), [(b"", 0), (b"\n", 1), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"10%\r20%", 1)]
)
def test_a_last_line_without_its_end_counts_too(output: bytes, lines: int) -> None:
    assert total_lines([(LineCount().extended(output), len(output))]) == (lines, True)


def test_nothing_is_told_of_what_was_not_looked_at() -> None:
    counted = LineCount().extended(b"a\n")

    assert total_lines([(LineCount(), 5)]) is None
    assert total_lines([(counted, 2), (LineCount(), 5)]) is None
    assert total_lines([(counted, 2), (LineCount(), 0)]) == (1, True)
    assert total_lines([(LineCount(), 0), (LineCount(), 0)]) == (0, True)


def test_both_streams_are_added_and_exact_only_if_both_are() -> None:
    out, err = LineCount().extended(b"line\n" * 1234), LineCount().extended(b"line\n" * 100)

    assert total_lines([(out, 6170), (err, 500)]) == (1334, True)
    assert total_lines([(out, 6170), (err, 5000)]) == (2200, False)


def test_what_is_not_counted_is_taken_to_be_like_what_is() -> None:
    counted = LineCount().extended(b"a line of 20 bytes.\n" * 100)

    assert total_lines([(counted, 2000 * 142)]) == (14_000, False)


def test_no_digit_of_what_was_counted_is_rounded_away() -> None:
    counted = LineCount().extended(b"line\n" * 14_237)

    assert total_lines([(counted, counted.counted + 5)]) == (14_237, False)


def test_what_was_counted_stays_counted_where_a_stream_is_told_to_be_shorter() -> None:
    counted = LineCount().extended(b"nine byte\n" * 100)

    assert total_lines([(counted, 0), (counted, 10_000)]) == (1100, False)


def test_one_giant_line_stays_one() -> None:
    assert total_lines([(LineCount().extended(b"x" * 1000), 2**40)]) == (1, False)


@given(st.lists(st.tuples(outputs, st.integers(0, 10**12)), max_size=3), st.none() | st.integers(0, 10**9))
def test_a_number_is_exact_or_an_estimate_no_less_than_was_counted(
    found: list[tuple[bytes, int]], before: int | None
) -> None:
    streams = [(LineCount().extended(output), size) for output, size in found]

    told = total_lines(streams, None if before is None else (before, False))

    if any(not output and size for output, size in found):
        assert told is None
        return
    assert told is not None
    assert told[0] >= sum(count.lines for count, _ in streams)
    assert told[1] == all(count.counted >= size for count, size in streams)


@given(st.integers(1, 10**6), st.integers(2, 10**6))
def test_an_estimate_has_two_digits_unless_more_were_counted(ends: int, times: int) -> None:
    counted = LineCount(counted=ends * 10, ends=ends)

    told = total_lines([(counted, ends * 10 * times)])

    assert told is not None
    number, exact = told
    assert not exact
    assert number == ends or str(number).rstrip("0") == str(number)[:2].rstrip("0")
    assert abs(number - ends * times) <= 0.05 * ends * times + 0.5


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 5000)), min_size=1, max_size=20))
def test_while_a_worker_prints_lines_like_its_first_the_number_never_falls(steps: list[tuple[int, int]]) -> None:
    count, size = LineCount(), 0
    told: tuple[int, bool] | None = None
    for counted, more in steps:
        count = count.extended(b"nine byte\n" * counted)
        size = max(size, count.counted) + 10 * more

        now = total_lines([(count, size)], told)

        assert now is not None
        assert now[1] or told is None or now[0] >= told[0]
        told = now


def test_an_estimate_falls_only_where_it_was_wrong() -> None:
    before = (15_000, False)

    assert total_lines([(LineCount(1000, 100), 144_000)], before) == (15_000, False)
    assert total_lines([(LineCount(1000, 100), 120_000)], before) == (12_000, False)
    assert total_lines([(LineCount(144_000, 14_400), 144_000)], before) == (14_400, True)
