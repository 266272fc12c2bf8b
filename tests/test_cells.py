import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cells import Span, cut_row, fit, row_width, width
from protocols.glyphs import simplify
from tests.any_text import any_text, cells_of


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("🚀", 2), ("क\u093e", 2), ("…", 1)]
)
def test_width_is_in_cells(text: str, cells: int) -> None:
    assert width(text) == cells


@pytest.mark.parametrize(
    ("text", "size", "fitted"),
    [
        ("abc", 5, "abc  "),
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("abcd", 0, ""),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日… "),
        ("日本語", 1, "…"),
        ("ae\u0301e\u0301e\u0301", 3, "ae\u0301…"),
    ],
)
def test_a_text_is_padded_or_cut_to_its_cells(text: str, size: int, fitted: str) -> None:
    assert fit(text, size) == fitted


def test_figures_stand_at_the_right_and_a_cut_can_have_another_mark() -> None:
    assert fit("12", 4, right=True) == "  12"
    assert fit("12345", 4, right=True, mark="~") == "123~"


def test_a_row_is_cut_in_the_span_that_reaches_over_the_edge() -> None:
    row = (Span("abc", "bold"), Span("def", "red"), Span("ghi"))

    assert cut_row(row, 9) == row
    assert cut_row(row, 5) == (Span("abc", "bold"), Span("d…", "red"))
    assert cut_row(row, 3) == (Span("ab…", "bold"),)
    assert cut_row(row, 0) == ()


@given(any_text, st.integers(0, 40), st.booleans())
def test_what_is_fitted_takes_exactly_its_cells(text: str, size: int, right: bool) -> None:
    fitted = fit(simplify(text), size, right=right)

    assert width(fitted) == cells_of(fitted) == size


@given(st.lists(any_text.map(simplify).map(Span), max_size=5).map(tuple), st.integers(0, 60))
def test_no_row_is_wider_than_it_is_cut_to_and_what_fits_stays(row: tuple[Span, ...], size: int) -> None:
    cut = cut_row(row, size)

    assert row_width(cut) <= size
    assert row_width(row) > size or cut == row
