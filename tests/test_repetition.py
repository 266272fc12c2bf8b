"""Whether output only repeats itself: spinners, clocks and the same line again, and all that is not that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.repetition import fingerprint, shows_more

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def frames(pattern: str, first: int, count: int = 100) -> bytes:
    """What paints a spinner that also tells the seconds."""
    return "".join(
        pattern.format(sign=_SPINNER[number % 10], seconds=number // 10) for number in range(first, first + count)
    ).encode()


def is_news(before: bytes, after: bytes) -> bool:
    return shows_more(fingerprint(before + after, cut=False), fingerprint(before, cut=False))


@pytest.mark.parametrize(
    "pattern",
    [
        "\r{sign} Thinking",
        "\r\x1b[2K{sign} Thinking ({seconds}s)",
        "\x1b[10;1H\x1b[36m{sign}\x1b[0m\x1b[10;20H{seconds}s",
        "\b{sign}",
        "\r{sign} 0:{seconds:02} elapsed",
        "\r{sign} waited {seconds}.5 seconds so far",
        "\x1b7{sign}\x1b8",
    ],
)
def test_a_spinner_with_the_time_shows_nothing_new(pattern: str) -> None:
    assert not is_news(b"Started\n" + frames(pattern, 0), frames(pattern, 100))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"still running\n" * 3, b"still running\n"),
        (b"2026-11-21 14:38:28 waits\n", b"2026-11-21 14:38:38 waits\n"),
        (b"[14:38:28.123] waits\n", b"[14:38:38.456] waits\n"),
        (b"a\nb\n", b"b\na\n"),
        (b"waits 1m 3s\n", b"waits 1m 13s\n"),
    ],
)
def test_the_same_lines_again_at_another_time_are_nothing_new(before: bytes, after: bytes) -> None:
    assert not is_news(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"1 of 40\n", b"2 of 40\n"),
        (b"\r 45%", b"\r 46%"),
        (b"test ....", b"."),
        (b"[#####     ]\r", b"[######    ]\r"),
        (b"step 100 loss 0.51\n", b"step 101 loss 0.50\n"),
        (b"frob 10m/s\n", b"frob 11m/s\n"),
        (b"10.2.3.4\n", b"10.2.3.5\n"),
        (b"", b"first\n"),
    ],
)
def test_numbers_and_bars_that_grow_are_news(before: bytes, after: bytes) -> None:
    assert is_news(before, after)


def test_what_shows_a_lot_or_nothing_is_news_in_doubt() -> None:
    lots = b"".join(b"line %d\n" % number for number in range(65))

    assert fingerprint(lots, cut=False) is None
    assert fingerprint(b"\r\n \x1b[2J", cut=False) is None
    assert is_news(lots, lots)
    assert not is_news(lots[: lots.rindex(b"line 64")], b"line 0\n")


def test_a_line_whose_beginning_is_cut_off_does_not_count() -> None:
    whole, cut = fingerprint(b"one\ntwo\n", cut=False), fingerprint(b"e\ntwo\n", cut=True)

    assert not shows_more(cut, whole)
    assert fingerprint(b"no line end", cut=True) is None


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_have_a_fingerprint_or_none_and_never_show_more_than_themselves(data: bytes, cut: bool) -> None:
    found = fingerprint(data, cut=cut)

    assert shows_more(found, found) == (found is None)


@given(st.lists(st.sampled_from([b"a", b"b 1", b"c", b"12%", b""]), max_size=20), st.data())
def test_what_is_made_of_lines_that_were_there_is_nothing_new(lines: list[bytes], data: st.DataObject) -> None:
    more = data.draw(st.lists(st.sampled_from(lines or [b""]), max_size=20))
    before = b"".join(line + b"\n" for line in lines)

    assert is_news(before, b"".join(line + b"\n" for line in more)) == (not before.strip())
