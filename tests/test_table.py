from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from supervisor.table import one_line, render_table

TITLES = ("name", "count")


def test_columns_are_aligned_and_figures_to_the_right() -> None:
    assert render_table(TITLES, [("a", "5"), ("longer", "1000")], right=("count",)) == (
        "name    count\na           5\nlonger   1000"
    )


def test_wide_characters_take_two_columns() -> None:
    assert render_table(TITLES, [("日本", "1"), ("abcde", "2")]) == "name   count\n日本   1\nabcde  2"


def test_the_widest_column_is_cut_first() -> None:
    table = render_table(TITLES, [("x" * 50, "12345678901")], width=30)

    assert table.splitlines()[1] == "x" * 16 + "…  12345678901"


def test_figures_are_never_cut() -> None:
    table = render_table(TITLES, [("x" * 50, "1" * 20)], right=("count",), width=30)

    assert table.splitlines()[1] == "x" * 7 + "…  " + "1" * 20


def test_spare_columns_go_one_after_the_other_where_the_rest_would_not_fit() -> None:
    titles, rows = ("name", "lines", "size", "why"), [("x" * 20, "1" * 5, "2" * 6, "y" * 20)]

    def shown(width: int) -> list[str]:
        return render_table(titles, rows, right=("lines", "size"), spare=("lines", "size"), width=width).split("\n")

    assert [shown(width)[0].split() for width in (40, 33, 32, 26, 25)] == [
        ["name", "lines", "size", "why"],
        ["name", "lines", "size", "why"],
        ["name", "size", "why"],
        ["name", "size", "why"],
        ["name", "why"],
    ]
    assert shown(25)[1] == "x" * 10 + "…  " + "y" * 11 + "…"


def test_nothing_is_cut_without_a_width() -> None:
    assert "x" * 500 in render_table(TITLES, [("x" * 500, "1")])


def test_a_cell_can_neither_move_the_cursor_nor_end_its_line() -> None:
    assert one_line("a\nb\t c\x1b[31m\u202ed\x00") == "a b c\\x1b[31m\\u202ed\\x00"


def test_only_titles_are_a_table() -> None:
    assert render_table(TITLES, []) == "name  count"


@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=5), st.integers(18, 120))
def test_no_line_is_wider_than_asked_for(rows: list[tuple[str, str]], width: int) -> None:
    lines = render_table(TITLES, rows, width=width).split("\n")

    assert len(lines) == 1 + len(rows)
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)
