"""The whole picture of a run: its head, its workers, what happened lately, and what Ctrl-C does."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from actors.cells import Row, Size, Span, Style, cut_row, row_width
from actors.live.allotment import Arrangement, Room, divide, share
from actors.live.blocks import Pen, WorkerText, head_row, tail_rows
from actors.live.columns import choose_columns
from actors.live.figures import clock
from actors.live.look import Look, shown
from protocols.board import Board
from protocols.budget_lines import budget_lines, find_fullest
from protocols.ids import TaskId
from protocols.sizes import format_bytes
from protocols.states import RunView, TaskView
from protocols.task_tree import count_tree

__all__ = ["draw"]

_ORDER = (
    *("failed", "timed-out", "parked", "running", "retrying", "restarting"),
    *("pending", "stopped", "skipped", "succeeded"),
)
_DONE = ("failed", "timed-out", "parked", "stopped", "skipped", "succeeded")
_COUNTED: dict[str, Style] = {
    "failed": "red",
    "timed-out": "red",
    "parked": "red",
    "stopped": "magenta",
    "succeeded": "green",
}
_OUTCOMES: dict[str, Style] = {"succeeded": "bold green", "failed": "bold red", "interrupted": "bold yellow"}
_MUCH = 0.8  # of a budget
_BAR = 16  # cells of the bar of the whole run
_AMOUNTS_FROM = 70  # cells of the narrowest screen that tells more than the clock in its corner
_NOTHING = WorkerText()


def draw(
    board: Board,
    arrangement: Arrangement,
    texts: Mapping[TaskId, WorkerText],
    size: Size,
    now: float,
    *,
    look: Look,
    hint: str,
) -> list[Row]:
    """At most ``size.rows`` rows, the ``hint`` last, none wider than ``size.columns``, nothing in them that a terminal
    obeys. ``now`` in Unix time. What changed since ``arrangement`` was made changes neither."""
    room = divide(board, size.rows, now)
    pen = Pen(choose_columns(board, size.columns, now, look), look, now)
    rows = [_title(board, pen)] * room.title
    rows += [_summary(board, pen)] * room.summary
    rows += [()] * room.gap
    rows += _workers(board, arrangement, texts, room.blocks, pen)
    rows += [()] * (room.space + sum(room[:4]) - len(rows))
    rows += _notices(board, room, pen)
    rows += [(Span(" " + shown(hint, look), "dim"),)] * room.hint
    return [cut_row(row, size.columns, mark=look.glyphs.cut) for row in rows]


def _title(board: Board, pen: Pen) -> Row:
    view = board.view
    if view.run is None:
        return (Span(" the run begins", "dim"),)
    end = pen.now if view.ended_at is None else view.ended_at
    passed = "" if view.started_at is None else clock(end - view.started_at)
    left = (Span(" run "), Span(shown(view.run, pen.look), "bold"), Span("  " + shown(view.plan, pen.look)))
    right = f"{_amounts(board, pen)}  {passed:>5}" if pen.columns.total >= _AMOUNTS_FROM else passed
    return _spread(cut_row(left, pen.columns.total - len(right) - 3, mark=pen.look.glyphs.cut), right, pen)


def _amounts(board: Board, pen: Pen) -> str:
    """What all workers wrote, and how fast."""
    rate = board.rate.at(pen.now)
    return f"{format_bytes(board.size)}  {format_bytes(rate) + '/s' if rate else '':>8}"


def _summary(board: Board, pen: Pen) -> Row:
    counts = count_tree(board.view)
    total, done = len(board.tasks), sum(counts.get(status, 0) for status in _DONE)
    row = (Span(" "), *_mood(board.view, pen.look), Span(f"{done} of {total} done"))
    if counts:
        row = (*row, Span(": "), *_counted(counts))
    if total and row_width(row) + _BAR + 1 <= pen.columns.total:
        row = (Span(" "), Span(pen.look.bar(done / total, _BAR), "cyan"), *row)
    budget = _budget(board.view, pen)
    return row if row_width(row) + row_width(budget) > pen.columns.total else (*row, *budget)


def _budget(view: RunView, pen: Pen) -> Row:
    """The one of which the greatest part is used."""
    now = pen.now if view.ended_at is None else view.ended_at
    fullest = find_fullest(budget_lines(view.accounts.all, now))
    if fullest is None:
        return ()
    share, text = fullest
    style: Style = "bold yellow" if share >= _MUCH else ""
    return (Span("  "), Span(f"budget of {shown(text, pen.look)}", style))


def _mood(view: RunView, look: Look) -> Row:
    """What is to be known of the whole run before any figure."""
    if view.outcome is not None:
        return (Span(view.outcome, _OUTCOMES[view.outcome]), Span("  "))
    if view.stopping is not None:
        return (Span(f"stopping ({shown(view.stopping.reason, look)})", "bold yellow"), Span("  "))
    return ()


def _counted(counts: Mapping[str, int]) -> Iterator[Span]:
    found = [status for status in _ORDER if counts.get(status)]
    for status in found:
        yield Span(f"{counts[status]} {status}", _COUNTED.get(status, ""))
        if status != found[-1]:
            yield Span(", ")


def _spread(left: Row, right: str, pen: Pen) -> Row:
    """``right`` at the right margin, where there is room for both."""
    room = pen.columns.total - row_width(left) - len(right) - 1
    return (*left, Span(" " * room + right)) if right and room >= 2 else left


def _workers(
    board: Board, arrangement: Arrangement, texts: Mapping[TaskId, WorkerText], most: int, pen: Pen
) -> list[Row]:
    more = _more(board, arrangement.hidden, pen.look) if most > 1 else ()
    most -= bool(more)
    tasks = board.tasks
    slots = [slot for slot in arrangement.slots if slot.task in tasks][:most]
    lines = [_lines(tasks[name], texts.get(name, _NOTHING), tail) for name, tail in slots]
    shares = share([len(each) for each in lines], most - len(slots))
    rows: list[Row] = []
    for (name, _), last, few in zip(slots, lines, shares, strict=True):
        rows.append(head_row(tasks[name], board.activities.get(name), texts.get(name, _NOTHING), pen))
        rows += tail_rows(last, few, pen)
    return [*rows, more] if more else rows


def _lines(task: TaskView, text: WorkerText, most: int) -> tuple[str, ...]:
    return text.lines[-most:] if most and task.status == "running" else ()


def _more(board: Board, hidden: Sequence[TaskId], look: Look) -> Row:
    """How many are not shown, and how they stand."""
    tasks = board.tasks
    counts: Counter[str] = Counter(tasks[name].status for name in hidden if name in tasks)
    return (Span(f"   {look.glyphs.more} and {len(hidden)} more: ", "dim"), *_counted(counts)) if counts else ()


def _notices(board: Board, room: Room, pen: Pen) -> list[Row]:
    if not room.notices:
        return []
    return [(Span(" " + shown(text, pen.look), "yellow"),) for text in board.told(pen.now)[-room.notices :]]
