import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.live.columns import Columns, choose_columns, timeout_text
from actors.live.look import Look
from protocols.ids import TaskId
from tests.made_boards import NOW, every_state, make_board
from tests.made_fleets import AT, run_started

BOARD = every_state()
OPTIONAL = ("role", "lines", "rate", "bytes", "bar", "timeout", "state")
"""In the order in which they go."""


def columns(total: int) -> Columns:
    return choose_columns(BOARD, total, NOW, Look())


def test_columns_go_one_after_the_other_where_a_screen_gets_narrower() -> None:
    kept = [[name for name in OPTIONAL if getattr(columns(total), name)] for total in range(200, 0, -1)]

    assert [each for index, each in enumerate(kept) if index == 0 or each != kept[index - 1]] == [
        list(OPTIONAL[gone:]) for gone in range(len(OPTIONAL) + 1)
    ]


def test_the_name_and_the_clock_stay() -> None:
    assert (columns(20).id, columns(20).clock) == (8, 5)


@given(st.integers(20, 250))
def test_the_columns_fit_on_the_screen(total: int) -> None:
    chosen = columns(total)

    assert chosen.at_clock + chosen.clock <= total
    assert chosen.at_clock < chosen.at_rate <= chosen.at_bar


def test_the_column_of_names_has_the_width_of_the_longest_within_bounds() -> None:
    short, long = make_board([run_started("a", "bcd")]), make_board([run_started("a", "b" * 64)])

    sizes = [choose_columns(board, total, AT, Look()).id for board, total in ((short, 100), (long, 60), (long, 250))]

    assert sizes == [3, 15, 32]


def test_clocks_get_more_room_after_an_hour() -> None:
    board = make_board([run_started("a")])

    assert [choose_columns(board, 100, AT + later, Look()).clock for later in (3599, 3600)] == [5, 7]


def test_there_is_no_column_for_what_no_task_has() -> None:
    plain = choose_columns(make_board([run_started("a")]), 200, AT, Look())
    named = msgspec.structs.replace(run_started("a"), roles={TaskId("a"): "checker"})

    assert (plain.role, plain.timeout) == (0, 0)
    assert choose_columns(make_board([named]), 200, AT, Look()).role == len("checker")


def test_a_timeout_is_written_as_in_a_plan() -> None:
    assert [timeout_text(each) for each in (None, 90.0, 600.0)] == ["", " / 1m30s", " / 10m"]
