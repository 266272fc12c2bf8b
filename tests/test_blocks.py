import pytest

from actors.cells import Row, width
from actors.live.blocks import Pen, WorkerText, head_row, tail_rows
from actors.live.columns import Columns, choose_columns
from actors.live.look import Look
from protocols.board import Board
from protocols.ids import TaskId
from tests.made_boards import NOW, TEXTS, every_state

WIDE = 140
NOTHING = WorkerText()


def row(task: str, total: int = WIDE, *, text: WorkerText | None = None, now: float = NOW) -> Row:
    board = every_state()
    pen = Pen(choose_columns(board, total, NOW, Look()), Look(), now)
    name = TaskId(task)
    return head_row(board.view.tasks[name], board.activities.get(name), text or TEXTS.get(name, NOTHING), pen)


def plain(row: Row) -> str:
    return "".join(span.text for span in row)


def style_of(row: Row, text: str) -> str:
    return next(span.style for span in row if text in span.text)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("tests", "► tests checker running 0:08 / 4m 240 kB ~1,420 lines 23 kB/s █████░░░░░ 58% collecting"),
        ("types", "► types checker running 0:08 / 4m 0 B quiet 8s"),
        ("translate", "► translate running 1:02 4.2 kB 62 lines 1.3 kB/s 日本語の文章を翻訳しています"),
        ("slow", "! slow stopping 1:03 / 1m 300 B 12 lines timed out, KILL in 7s"),
        ("full", "! full blocked 5:00 1.2 MB 99,999 lines output waits: No space left on device"),
        ("flaky", "↻ flaky checker retrying attempt 2 in 3s: exit code 7"),
        ("archive", "◦ archive pending"),
        ("lint", "✓ lint checker succeeded 300ms 20 B 1 line"),
        ("twice", "✓ twice succeeded 1:05 4.0 kB 3 lines attempt 2"),
        ("compile", "✗ compile failed 2.1s 1.1 MB 14,200 lines exit code 3"),
        ("old-docs", "✗ old-docs timed-out 2:00 0 B timed out after 2m, killed by SIGKILL (allowed)"),
        ("package", '- package skipped needs "compile", which failed'),
        ("benchmark", "▪ benchmark stopped not started: the run was stopped"),
        ("halted", "▪ halted stopped 30.5s 512 B killed by SIGTERM"),
        ("broken-spool", "! broken-spool succeeded 9s 9 B MISMATCH in stdout"),
    ],
)
def test_a_row_tells_what_there_is_to_know_of_a_worker(task: str, words: str) -> None:
    assert " ".join(plain(row(task)).split()) == words


def test_where_there_is_no_room_for_a_bar_the_percentage_stays() -> None:
    assert " ".join(plain(row("tests", 60)).split()) == "► tests running 0:08 / 4m 58% collecting"


def test_lines_that_nobody_counted_yet_leave_their_column_empty() -> None:
    counted, not_counted = (plain(row("tests", text=text)) for text in (WorkerText((), (7, True)), NOTHING))

    assert counted.index("kB/s") == not_counted.index("kB/s")
    assert "lines" in counted and "lines" not in not_counted


def test_the_clock_is_yellow_when_little_of_the_timeout_is_left() -> None:
    assert style_of(row("tests", now=NOW), "0:08") == ""
    assert style_of(row("tests", now=NOW + 185), "3:13") == "yellow"


def test_silence_is_dim_until_it_is_long() -> None:
    assert style_of(row("types"), "quiet") == "dim"
    assert style_of(row("docs"), "quiet") == "yellow"


def test_the_name_of_what_has_not_begun_is_dim() -> None:
    assert [style_of(row(task), task) for task in ("archive", "tests", "lint")] == ["dim", "bold", "bold"]


def columns_of(board: Board, total: int) -> Columns:
    return choose_columns(board, total, NOW, Look())


@pytest.mark.parametrize("total", [60, 80, 100, 140, 200])
def test_figures_stand_in_the_same_cells_in_every_row(total: int) -> None:
    columns = columns_of(every_state(), total)
    rows = {task: plain(row(task, total)) for task in ("tests", "types", "flood", "slow", "lint", "compile", "halted")}

    clocks = {_cells_before(text, columns.at_clock + columns.clock) for text in rows.values()}
    assert all(text[-1:].isdigit() or text.endswith("s") for text in clocks)
    if columns.bytes:
        assert {text[text.index("B ") + 1] for text in rows.values()} == {" "}
        assert len({width(text[: text.index("B ")]) for text in rows.values()}) == 1
    if columns.lines:
        assert len({width(text[: text.index(" line")]) for text in rows.values() if " line" in text}) == 1


def _cells_before(text: str, cells: int) -> str:
    return text[:cells]  # names and states are ASCII


def test_the_last_lines_are_shown_without_what_a_terminal_obeys() -> None:
    pen = Pen(columns_of(every_state(), 30), Look(), NOW)
    lines = ("first", "\x1b[2J\x1b[31msecond\x07", "third, which is too long for this screen")

    assert [plain(each) for each in tail_rows(lines, 2, pen)] == ["   │ second", "   │ third, which is too long…"]
    assert tail_rows(lines, 0, pen) == []
