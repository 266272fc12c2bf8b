"""Quotes and guesses in messages for users."""

import pytest

from protocols.wording import did_you_mean, escaped, quote


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tür", "tür"),
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b", r"\x9b"),
        ("a\u202eb", r"a\u202eb"),
        ("\udc80", r"\udc80"),
    ],
)
def test_what_could_move_a_cursor_hide_or_not_be_encoded_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_long_quote_is_cut() -> None:
    assert quote("x" * 10_000) == '"' + "x" * 199 + '…"'


def test_the_nearest_candidate_is_suggested() -> None:
    assert did_you_mean("wbss", ["abc", "wbs", "wms"]) == '; did you mean "wbs"?'


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert did_you_mean("wbss", ["lint", "archive"]) == ""
    assert did_you_mean("wbss", []) == ""


def test_a_common_prefix_makes_nothing_look_near() -> None:
    assert did_you_mean("STAT", ["STATE", "STOP"], "CALLBOARD_") == '; did you mean "CALLBOARD_STATE"?'
    assert did_you_mean("ZZZ", ["STATE", "STOP"], "CALLBOARD_") == ""
