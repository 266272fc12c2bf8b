"""The rows of one worker: its figures in columns, and the last lines of its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from actors.cells import Row, Span, Style, fit
from actors.live.columns import BAR, BYTES, GAP, LINES, RATE, STATE, Columns, timeout_text
from actors.live.figures import clock, count, percent, quiet, took
from actors.live.look import Look, clipped, shown
from actors.live.words import Condition, condition, is_failure, remark
from protocols.attempt_view import AttemptView
from protocols.board import QUIET_AFTER, Activity, silence
from protocols.sizes import format_bytes
from protocols.states import TaskView

__all__ = ["Pen", "WorkerText", "head_row", "tail_rows"]

_QUIET = 5.0
_LATE = 0.8  # of its timeout
_GAP = " " * GAP


@dataclass(frozen=True, slots=True)
class WorkerText:
    """What was read of a worker's output."""

    lines: tuple[str, ...] = ()
    """The last ones, oldest first."""
    count: tuple[int, bool] | None = None
    """How many lines there are, and whether that is exact; None where nothing was counted yet."""


class Pen(NamedTuple):
    """What the rows of one picture have in common."""

    columns: Columns
    look: Look
    now: float


def head_row(task: TaskView, activity: Activity | None, text: WorkerText, pen: Pen) -> Row:
    """State, times, sizes and what there is to say, in the columns of ``pen``."""
    attempt = task.attempts[-1] if task.attempts else None
    state = condition(task, activity, pen.now)
    front = _front(task.id, task.role, state._replace(trouble="!" if state.trouble else ""), pen.columns, pen.look)
    if attempt is None or task.status in {"pending", "retrying", "restarting", "skipped"}:
        return (*front, *_rest(remark(task, pen.now), "dim", pen.columns.at_clock, pen))
    figures = (*front, *_times(attempt, pen), Span(_amounts(attempt, text, pen.columns)))
    if state.trouble or task.status != "running":
        style: Style = state.style if state.trouble else "" if is_failure(task) else "dim"
        text_of_it = "; ".join(part for part in (state.trouble, remark(task, pen.now)) if part)
        return (*figures, *_rest(text_of_it, style, pen.columns.at_rate, pen))
    return (*figures, *_speed(attempt, activity, pen), *_progress(attempt, pen))


def tail_rows(lines: Sequence[str], most: int, pen: Pen) -> list[Row]:
    """The last ``most`` of the lines."""
    return [_tail_row(line, pen.columns.total, pen.look) for line in lines[-most:]] if most > 0 else []


@lru_cache(4096)
def _tail_row(line: str, total: int, look: Look) -> Row:
    start = f"   {look.glyphs.tail} "
    return (Span(start, "dim"), Span(clipped(shown(line, look), max(total - len(start), 0), look)))


@lru_cache(4096)
def _front(id_: str, role: str, state: Condition, columns: Columns, look: Look) -> Row:
    """What changes with the state only."""
    glyphs = look.glyphs
    glyph = glyphs.trouble if state.trouble else glyphs.states[state.status]
    begun = state.status not in {"pending", "skipped"}
    spans = [
        Span(f" {glyph} ", state.style),
        Span(fit(shown(id_, look), columns.id, mark=glyphs.cut) + _GAP, "bold" if begun else "dim"),
    ]
    if columns.role:
        spans.append(Span(fit(shown(role, look), columns.role, mark=glyphs.cut) + _GAP, "dim"))
    if columns.state:
        spans.append(Span(fit(state.word, STATE, mark=glyphs.cut) + _GAP, state.style))
    return tuple(spans)


def _times(attempt: AttemptView, pen: Pen) -> Row:
    columns, exited = pen.columns, attempt.exited
    since = attempt.starting_at if attempt.started is None else attempt.started.at
    if exited is not None:
        passed = _figure(took(max(exited.ended_at - since, 0.0)), columns.clock, pen.look)
        return (Span(passed + " " * columns.timeout + _GAP),)
    seconds = max(pen.now - since, 0.0)
    late = attempt.timeout is not None and seconds > _LATE * attempt.timeout
    limit = f"{timeout_text(attempt.timeout):<{columns.timeout}}" if columns.timeout else ""
    passed = _figure(clock(seconds), columns.clock, pen.look)
    return (Span(passed, "yellow" if late else ""), Span(limit + _GAP, "dim"))


def _amounts(attempt: AttemptView, text: WorkerText, columns: Columns) -> str:
    size = sum(attempt.output.values())
    shown_size = f"{format_bytes(size):>{BYTES}}{_GAP}" if columns.bytes else ""
    if not columns.lines:
        return shown_size
    return f"{shown_size}{'' if text.count is None else count(*text.count):>{LINES}}{_GAP}"


def _speed(attempt: AttemptView, activity: Activity | None, pen: Pen) -> Row:
    if not pen.columns.rate or attempt.exited is not None:
        return (Span(" " * (pen.columns.at_bar - pen.columns.at_rate)),)
    passed = silence(attempt, pen.now)
    if passed >= _QUIET:
        return (Span(f"{quiet(passed):>{RATE}}{_GAP}", "yellow" if passed >= QUIET_AFTER else "dim"),)
    rate = 0.0 if activity is None else activity.rate.at(pen.now)
    return (Span(f"{f'{format_bytes(rate)}/s' if rate else '':>{RATE}}{_GAP}"),)


def _progress(attempt: AttemptView, pen: Pen) -> Row:
    progress, look, columns = attempt.progress, pen.look, pen.columns
    if progress is None:
        return ()
    if progress.fraction is None:
        return _rest(progress.label, "", columns.at_bar, pen)
    bar = f"{look.bar(progress.fraction, BAR)} " if columns.bar else ""
    label = f"{percent(progress.fraction)} {progress.label}"
    return (Span(bar, "cyan"), *_rest(label, "", columns.at_bar + len(bar), pen))


def _rest(text: str, style: Style, start: int, pen: Pen) -> Row:
    """A text that ends the row, from the cell ``start`` on."""
    kept = clipped(shown(text, pen.look), max(pen.columns.total - start, 0), pen.look)
    return (Span(kept, style),) if kept else ()


def _figure(text: str, size: int, look: Look) -> str:
    return fit(text, size, right=True, mark=look.glyphs.cut)
