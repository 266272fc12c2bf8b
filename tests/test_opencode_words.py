"""How the end of a server is told: bounded, on one line, and nothing in it that a terminal obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.opencode_words import exit_text, last_words


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"", ""),
        (b"\n \n\x1b[0m\n", ""),
        (b"\x1b[91m\x1b[1mError: \x1b[0mUnexpected error\n\nServeError\n", "Error: Unexpected error | ServeError"),
        (b"one\ntwo\nthree\nfour", "two | three | four"),
        (b"a\tb\x07c", "a b c"),
        (b"\x1b]0;title\x07text", "text"),
        ("schön \xe4".encode("latin-1"), "sch\ufffdn \ufffd"),
    ],
)
def test_the_last_lines_that_say_something_are_shown(said: bytes, shown: str) -> None:
    assert last_words(said) == shown


def test_of_a_long_line_the_end_is_shown() -> None:
    shown = last_words(b"x" * 1000 + b"end")

    assert len(shown) == 300
    assert shown.startswith("…x") and shown.endswith("xend")


@given(st.binary())
def test_whatever_it_said_is_one_harmless_line(said: bytes) -> None:
    shown = last_words(said)

    assert shown.isprintable()
    assert len(shown) <= 300


@pytest.mark.parametrize(
    ("code", "signal", "text"),
    [
        (3, None, "ended with exit code 3"),
        (None, "SIGKILL", "was ended by SIGKILL"),
        (None, None, "ended"),
    ],
)
def test_how_it_ended_is_said(code: int | None, signal: str | None, text: str) -> None:
    assert exit_text(code, signal) == text
