"""The table of workers that ``callboard ps`` prints."""

from collections.abc import Iterable

from protocols.durations import format_elapsed
from protocols.plain import format_counts
from protocols.port_results import WorkerLine
from protocols.sizes import format_bytes
from protocols.states import OPEN
from supervisor.table import one_line, render_table
from supervisor.task_text import output_of, tell_task
from supervisor.worker_reading import Workers

__all__ = ["render_workers", "shown_workers"]

_TITLES = ("worker", "status", "state", "role", "attempt", "pid", "time", "output", "done", "what")


def shown_workers(found: Workers, *, everything: bool) -> tuple[WorkerLine, ...]:
    """Those that are not over, or all."""
    return tuple(line for line in found.workers if everything or line.status in OPEN)


def render_workers(found: Workers, *, everything: bool, width: int | None) -> str:
    """A line for each, under titles, and how many are over and not shown. ``width`` in columns."""
    lines = shown_workers(found, everything=everything)
    hidden = len(found.workers) - len(lines)
    table = ""
    if lines:
        rows = [_row(line, found.at) for line in lines]
        table = render_table(
            _TITLES, rows, right=_TITLES[4:9], spare=("role", "pid", "attempt", "output", "state"), width=width
        )
    return "\n".join(filter(None, (table, _rest(found, shown=len(lines), hidden=hidden))))


def _row(line: WorkerLine, now: float) -> tuple[str, ...]:
    return (
        line.task,
        line.status,
        line.verdict.state if line.verdict is not None and line.status == "running" else "",
        line.role,
        str(line.attempt or ""),
        "" if line.pid is None else str(line.pid),
        "" if line.seconds is None else format_elapsed(line.seconds),
        format_bytes(output_of(line)) if line.attempt else "",
        "" if line.fraction is None else f"{line.fraction:.0%}",
        "; ".join(part for part in (tell_task(line, now), line.gap) if part),
    )


def _rest(found: Workers, *, shown: int, hidden: int) -> str:
    if not found.workers:
        return "no workers; start one with: callboard spawn -- COMMAND, or a plan with: callboard submit PLAN.toml"
    if not hidden:
        return ""
    over = one_line(format_counts(_counts(line.status for line in found.workers if line.status not in OPEN)))
    return f"{'not shown' if shown else 'none is at work'}: {over}; see: callboard ps --all"


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
