"""Secrets in what is shown: all of them are taken out, however it was cut."""

from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.redaction import Redaction, Redactor, take_fingerprints

SECRETS = {"A": "abababab", "B": "abababababXX", "C": "token-of-mine", "D": "first line\nab\nsecond line"}
PIECES = (
    "abababab",
    "abababababXX",
    "token-of-mine",
    "first line",
    "second line",
    "ab",
    "a",
    "b",
    "t",
    "XX",
    "\r\n",
    "ü",
)


def salts() -> Iterator[bytes]:
    return (number.to_bytes(8, "big") for number in count())


KNOWN = Redactor.of_values(SECRETS.items())
MARKED = Redactor.of_fingerprints(take_fingerprints(SECRETS.items(), salts()))

texts = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: "".join(pieces).encode())


@given(texts, st.lists(st.integers(0, 120)), st.sampled_from([KNOWN, MARKED]))
def test_the_same_comes_of_a_stream_however_it_is_cut(data: bytes, cuts: list[int], redactor: Redactor) -> None:
    redaction = Redaction(redactor)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut <= len(data))})

    parts = [redaction.feed(data[start:end]) for start, end in pairwise(edges)]

    assert b"".join((*parts, redaction.finish())) == redactor.redact(data)


@given(texts)
def test_no_secret_is_left_and_fingerprints_find_what_values_find(data: bytes) -> None:
    shown = KNOWN.redact(data)

    assert MARKED.redact(data) == shown
    assert not any(value in shown for value in (b"abababab", b"token-of-mine", b"first line", b"second line"))


@given(texts, st.sampled_from([KNOWN, MARKED]))
def test_a_mask_has_as_many_bytes_and_shows_at_its_end_no_beginning_of_a_secret(
    data: bytes, redactor: Redactor
) -> None:
    shown = redactor.mask(data + b"token-of")

    assert len(shown) == len(data) + 8
    assert b"token" not in shown and b"abababab" not in shown


@given(texts, st.integers(0, 80), st.integers(0, 80), st.lists(st.integers(0, 120)))
def test_of_a_part_there_is_what_it_shows_of_the_whole(data: bytes, start: int, length: int, cuts: list[int]) -> None:
    redaction = Redaction(KNOWN, start, start + length)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut <= len(data))})

    shown = b"".join((*(redaction.feed(data[begin:end]) for begin, end in pairwise(edges)), redaction.finish()))

    whole = KNOWN.spans(data)
    hidden = [span for span in whole if span.end > start and span.start < start + length]
    plain = [at for at in range(start, min(start + length, len(data))) if not any(s <= at < e for s, e, _ in whole)]
    assert len(shown) == len(plain) + sum(len(span.name) + 6 for span in hidden)


@pytest.mark.parametrize("redactor", [KNOWN, MARKED])
def test_the_name_stands_where_the_secret_was(redactor: Redactor) -> None:
    assert redactor.redact_text("a token-of-mine, first line\r\nsecond line.") == "a ***C***, ***D***\r\n***D***."
    assert redactor.redact_text("nothing ü \ud800") == "nothing ü \ud800"


def test_a_fingerprint_does_not_hold_the_secret() -> None:
    (print_,) = take_fingerprints([("C", "token-of-mine")], salts())

    assert b"ken-of-mine".hex() not in str(print_) and "ken-of" not in str(print_)


def test_short_lines_are_left_alone_and_without_secrets_nothing_is_held_back() -> None:
    assert Redactor.of_values([("A", "short\n123")]).patterns == ()
    assert Redaction(Redactor()).feed(b"x") == b"x"
