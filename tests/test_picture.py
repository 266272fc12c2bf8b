"""The picture of a run. ``REWRITE_GOLDEN=1 pytest tests/test_picture.py`` writes tests/golden anew: look at it then."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cells import Row, Size, Span
from actors.live.allotment import Arrangement, Slot, arrange
from actors.live.blocks import WorkerText
from actors.live.look import Look
from actors.live.picture import draw
from protocols.board import Board, Notice
from protocols.budget import Amounts, Budget, BudgetOf
from protocols.events import Record, RunEnded, RunStopping
from protocols.ids import TaskId
from protocols.interrupts import tell_interrupt
from tests.any_text import any_text, cells_of
from tests.made_boards import NOW, TEXTS, every_state, make_board
from tests.made_events import records
from tests.made_fleets import AT, output, run_started, started, starting, status

GOLDEN = Path(__file__).parent / "golden"
UNICODE = Look()
STOPPING = RunStopping(at=NOW - 2, reason="SIGINT", grace=10.0)


def picture(board: Board, size: Size, *, look: Look = UNICODE, now: float = NOW) -> list[Row]:
    return draw(board, arrange(board, size, now), TEXTS, size, now, look=look, hint=tell_interrupt(board.view, now))


def plain(rows: list[Row]) -> list[str]:
    return ["".join(span.text for span in row).rstrip() for row in rows]


@pytest.mark.parametrize(
    ("size", "look"),
    [(size, Look()) for size in (Size(100, 24), Size(60, 15), Size(20, 5), Size(140, 40))]
    + [(Size(100, 24), Look(ascii_only=True))],
    ids=str,
)
def test_the_picture_is_as_it_was_when_somebody_looked_at_it(size: Size, look: Look) -> None:
    path = GOLDEN / f"{size.columns}x{size.rows}{'-ascii' if look.ascii_only else ''}.txt"

    shown = "\n".join(plain(picture(every_state(), size, look=look))) + "\n"

    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(shown, "utf-8")
    assert shown == path.read_text("utf-8")
    assert shown.isascii() or not look.ascii_only


@pytest.mark.parametrize(("columns", "told"), [(120, True), (50, False)])
def test_the_budget_that_is_used_most_is_told_where_there_is_room(columns: int, told: bool) -> None:
    budgets = (
        BudgetOf("run", "", Budget(hard=Amounts(time=36_000.0))),
        BudgetOf("task", "a", Budget(hard=Amounts(attempts=2))),
    )
    board = make_board([msgspec.structs.replace(run_started("a"), budgets=budgets), starting("a"), started("a")])

    rows = "\n".join(plain(picture(board, Size(columns, 20), now=AT + 3600)))

    assert ('budget of task "a": attempts 1 of 2' in rows) == told


@st.composite
def pictures(draw_from: st.DrawFn, size: st.SearchStrategy[Size], *, journal: bool = True) -> tuple[Size, list[Row]]:
    """Any run at any moment, drawn on a screen for an arrangement that may be of a moment before."""
    found: list[Record] = draw_from(records) if journal else []
    board = make_board(record.event for record in found) if journal else every_state()
    screen = draw_from(size)
    now = draw_from(st.one_of(st.floats(0, 4e9), st.just(NOW)))
    arrangement = arrange(board, screen, now)
    board.notices.extend(Notice(now, text) for text in draw_from(st.lists(any_text, max_size=4)))
    for task in board.view.tasks.values():
        task.role, task.reason = draw_from(any_text), draw_from(any_text)
    texts = {
        name: WorkerText(tuple(draw_from(st.lists(any_text, max_size=9))), draw_from(_counts))
        for name in board.view.tasks
    }
    look = Look(draw_from(st.booleans()))
    return screen, draw(board, arrangement, texts, screen, now, look=look, hint=draw_from(any_text))


_counts = st.none() | st.tuples(st.integers(0, 10**12), st.booleans())
_sizes = st.builds(Size, st.integers(1, 250), st.integers(1, 100))
_readable = st.builds(Size, st.integers(20, 250), st.integers(5, 100))


@given(st.one_of(pictures(_sizes), pictures(_sizes, journal=False)))
def test_no_picture_is_wider_or_taller_than_its_screen_and_nothing_in_it_is_obeyed(
    made: tuple[Size, list[Row]],
) -> None:
    size, rows = made

    assert len(rows) == size.rows
    assert all(sum(cells_of(span.text) for span in row) <= size.columns for row in rows)
    assert all(span.text.isprintable() for row in rows for span in row)


@given(_readable, st.booleans())
def test_from_20x5_on_a_worker_the_summary_and_the_hint_can_be_read(size: Size, stopping: bool) -> None:
    board = every_state(STOPPING) if stopping else every_state()

    shown = plain(picture(board, size))

    assert shown[0].startswith(" run aaaaaa")
    assert ("stopping" if stopping else "8 of 17 done") in shown[1]
    assert any(row.startswith(" ! slow") for row in shown)
    assert shown[-1].startswith(" TERM was sent" if stopping else " Ctrl-C stops the")


@given(_readable, st.integers(0, 3000))
def test_columns_stay_where_they_are_while_time_goes_on(size: Size, later: int) -> None:
    board = every_state()
    names = [name for name in ("slow", "full", "tests", "types") if size.rows > 12]

    before, after = (
        {row.split()[1]: row for row in plain(picture(board, size, now=now)) if len(row.split()) > 1}
        for now in (NOW, min(NOW + later, AT + 3599))
    )

    for name in names:
        assert before[name][: before[name].index(name)] == after[name][: after[name].index(name)]
        assert _clock_ends(before[name]) == _clock_ends(after[name])


def _clock_ends(row: str) -> int:
    return row.index(":") + 3


def test_a_run_that_is_stopped_says_so_first() -> None:
    rows = picture(every_state(STOPPING), Size(100, 24))

    assert Span("stopping (SIGINT)", "bold yellow") in rows[1]
    assert plain(rows)[-1].startswith(" TERM was sent to all workers, KILL follows in 8s at most")


def test_a_run_that_has_ended_says_how_and_its_clock_stands() -> None:
    end = RunEnded(at=NOW, outcome="failed", counts={})

    rows = picture(every_state(STOPPING, end), Size(100, 24), now=NOW + 100)

    assert Span("failed", "bold red") in rows[1]
    assert plain(rows)[0].endswith(" 12:34")


def test_those_that_are_not_shown_are_counted() -> None:
    board = make_board([run_started("a"), *(status(f"t{each}", "pending") for each in range(200))])

    shown = plain(picture(board, Size(100, 24)))

    assert "   … and 183 more: 183 pending" in shown


def test_rows_that_are_left_go_to_the_last_lines_one_in_turn() -> None:
    names = ("one", "two")
    begun = [(status(name, "running"), starting(name), started(name), output(name, length=9)) for name in names]
    board = make_board([run_started(*names), *(event for each in begun for event in each)])
    texts = {
        TaskId("one"): WorkerText(tuple(f"one {line}" for line in range(8))),
        TaskId("two"): WorkerText(("two 0",)),
    }
    size = Size(60, 9)

    rows = plain(draw(board, arrange(board, size, AT), texts, size, AT, look=Look(), hint="hint"))

    assert [row.strip() for row in rows if "│" in row] == ["│ one 5", "│ one 6", "│ one 7", "│ two 0"]


def test_what_changed_since_rows_were_given_out_breaks_nothing() -> None:
    gone = Arrangement((Slot(TaskId("unknown"), 3), Slot(TaskId("lint"), 8)), (TaskId("nobody"),))
    size = Size(100, 24)

    rows = draw(every_state(), gone, TEXTS, size, NOW, look=Look(), hint="hint")

    assert [row.split()[1] for row in plain(rows)[3:4]] == ["lint"]
    assert len(rows) == 24


def test_before_the_first_record_there_is_a_picture_too() -> None:
    shown = plain(picture(Board(), Size(60, 12)))

    assert (shown[0], shown[1].split("  ")[0]) == (" the run begins", " 0 of 0 done")


def test_a_long_name_of_a_plan_leaves_the_clock_where_it_is() -> None:
    board = make_board([msgspec.structs.replace(run_started("a"), plan="plans/" + "x" * 200)])

    assert plain(picture(board, Size(60, 12), now=AT + 7))[0].endswith("xx…  0:07")
