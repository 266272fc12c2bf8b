import sys
from unicodedata import category

import pytest
from hypothesis import given

from actors.cells import width
from protocols.glyphs import simplify
from tests.any_text import any_text, cells_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x1b[0m\r\nx", "red  x"),
        ("a\tb", "a       b"),
        ("a\xa0b\u3000c", "a b  c"),
        ("e\u0301", "é"),
        ("e\u200d\u0301", "é"),
        ("日本語 🚀", "日本語 🚀"),
        ("👍🏽", "👍"),
        ("👩\u200d💻", "👩💻"),
        ("❤\ufe0f 1\ufe0f\u20e3", "❤ 1"),
        ("🇩🇪", "DE"),
        ("soft\u00adhy\u200bphen\ufeff", "softhyphen"),
        ("\u0301accent", "accent"),
        ("z\u0300\u0301\u0302\u0303", "z\u0300\u0301"),
        ("ก\u0e31\u0e48", "ก\u0e31\u0e48"),
        ("private \ue0a0, unassigned \u0378", "private \ufffd, unassigned \ufffd"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("\u1112\u1161\u11ab", "한"),
        ("\u1161", "\ufffd"),
        ("䷀", "\ufffd"),
    ],
)
def test_text_is_shown_in_characters_of_which_the_width_is_sure(text: str, shown: str) -> None:
    assert simplify(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Résumé", "Resume"),
        ("日本語", "???"),
        ("a…b", "a...b"),
        ("\ue0a0", "?"),
        ("│ 1", "? 1"),
        ("\x1b[1mé", "e"),
    ],
)
def test_where_only_ascii_is_shown_accents_are_left_out_and_the_rest_is_asked_for(text: str, shown: str) -> None:
    assert simplify(text, ascii_only=True) == shown


@given(any_text)
def test_whatever_comes_is_printable_and_simplified_again_is_the_same(text: str) -> None:
    shown, ascii_shown = simplify(text), simplify(text, ascii_only=True)

    assert shown.isprintable() and simplify(shown) == shown
    assert ascii_shown.isascii() and ascii_shown.isprintable()
    assert simplify(ascii_shown, ascii_only=True) == ascii_shown


@given(any_text)
def test_no_mark_is_without_its_character_and_none_has_more_than_two(text: str) -> None:
    marks = "".join("m" if category(char) == "Mn" else "c" for char in simplify(text))

    assert not marks.startswith("m")
    assert "mmm" not in marks


def test_the_width_of_every_character_that_is_left_is_the_same_by_two_ways_of_counting() -> None:
    shown = {simplify(f"a{chr(code)}") for code in range(sys.maxunicode + 1)}

    assert not [text for text in shown if width(text) != cells_of(text)]
