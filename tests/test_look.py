from typing import get_args
from unicodedata import east_asian_width

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cells import width
from actors.live.look import Look, clipped, shown
from protocols.kinds import TaskStatus
from tests.any_text import any_text, cells_of

LOOKS = (Look(), Look(ascii_only=True))


@pytest.mark.parametrize("look", LOOKS)
def test_every_state_has_a_glyph_of_one_cell_that_no_terminal_shows_wider(look: Look) -> None:
    assert set(look.glyphs.states) == set(get_args(TaskStatus))
    glyphs = [*look.glyphs.states.values(), look.glyphs.trouble]
    assert {width(glyph) for glyph in glyphs} == {1}
    assert {east_asian_width(glyph) for glyph in glyphs} <= {"N", "Na"}


def test_ascii_is_ascii() -> None:
    glyphs = Look(ascii_only=True).glyphs

    assert all(each.isascii() for each in (*glyphs.states.values(), *glyphs[1:]) if isinstance(each, str))


@pytest.mark.parametrize(
    ("fraction", "bar"), [(-1.0, "░░░░"), (0.0, "░░░░"), (0.5, "██░░"), (0.99, "███░"), (1.0, "████"), (9.0, "████")]
)
def test_a_bar_is_full_only_where_all_is_done(fraction: float, bar: str) -> None:
    assert Look().bar(fraction, 4) == bar


@given(any_text, st.integers(0, 30), st.sampled_from(LOOKS))
def test_a_clipped_text_is_as_it_was_or_as_wide_as_it_may_be(text: str, size: int, look: Look) -> None:
    safe = shown(text, look)

    kept = clipped(safe, size, look)

    assert kept == safe if cells_of(safe) <= size else cells_of(kept) == size


def test_of_a_very_long_text_only_the_beginning_is_looked_at() -> None:
    assert len(shown("x" * 10**6, Look())) == 1000
