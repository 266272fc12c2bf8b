"""The report of a run for people: Markdown to keep, and a table for the end of a run on a terminal."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from actors.files import replace_file
from protocols.budget_lines import tell_budgets
from protocols.durations import format_elapsed
from protocols.ids import WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from protocols.lines import printable, strip_ansi
from protocols.plain import format_counts
from protocols.redaction import Redactor
from protocols.sizes import format_bytes
from supervisor.instance_tree import place_of
from supervisor.report import AttemptReport, Report, TaskReport
from supervisor.secrets import open_redactor
from supervisor.session_use import add_up, tell_use
from supervisor.table import one_line, render_table

__all__ = ["render_markdown", "summary_table", "write_markdown"]

_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 20
_TAIL_WIDTH = 200
_ORDER = (
    *("failed", "timed-out", "parked", "stopped", "skipped"),
    *("running", "retrying", "restarting", "pending", "succeeded"),
)
_FAILURES = ("failed", "timed-out", "parked", "stopped")
_RIGHT = ("attempts", "time", "lines", "output")
_SPARE = ("lines", "output", "exit", "attempts")
_PUNCTUATION = re.compile(r"([\\`*_\[\]<>#|~&$]|://|@)")


def summary_table(report: Report, width: int | None) -> str:
    """A line for each task and one for the run, without an end of line. ``width`` in columns; None cuts nothing."""
    titles = ("task", "status", "attempts", "time", "exit", "lines", "output", "reason")
    rows = [(task.id, task.status, *_figures(task), _reason(task)) for task in report.tasks]
    parts = [
        render_table(titles, rows, right=_RIGHT, spare=_SPARE, width=width),
        *_uses(report),
        *_budgets(report),
        _verdict(report),
    ]
    return "\n\n".join(parts)


def _uses(report: Report) -> Iterator[str]:
    """One part, of lines; none where no task is a session."""
    uses = [(task, [each.use for each in task.attempts if each.use is not None]) for task in report.tasks]
    lines = "\n".join(tell_use((task, add_up(found)) for task, found in uses if found))
    if lines:
        yield lines


def _budgets(report: Report) -> Iterator[str]:
    """One part, of lines; none where the plan has no budget."""
    lines = "\n".join(one_line(text) for text in tell_budgets(report.budgets))
    if lines:
        yield lines


def write_markdown(folder: FleetFolder, report: Report) -> None:
    """Replace ``report.md``. Raise ``OSError``."""
    replace_file(folder.report_markdown, render_markdown(folder, report).encode("utf-8", "replace"))


def render_markdown(folder: FleetFolder, report: Report) -> str:
    """All tasks in a table, then those that failed with the end of their output. Reads the spool."""
    parts = [
        f"# Run {report.run}: {report.outcome or 'not ended'}",
        "\n".join(_facts(report)),
        "\n".join(_table(report)),
        *(_list(part) for part in (*_uses(report), *_budgets(report))),
        *_outputs(report),
        *(_failure(folder, task) for task in report.tasks if task.status in _FAILURES),
    ]
    return "\n\n".join(parts) + "\n"


def _outputs(report: Report) -> Iterator[str]:
    """One part, of lines; none where no task gave anything to others."""
    given = [(task.id, task.output) for task in report.tasks if task.output is not None]
    if given:
        yield "\n".join(
            f"- Output of {_escape(task)}: {format_bytes(output.bytes)} of "
            f"{'JSON' if output.form == 'json' else 'text'} in {_escape(output.path)}"
            for task, output in given
        )


def _list(lines: str) -> str:
    return "\n".join(f"- {_escape(line)}" for line in lines.split("\n"))


def _facts(report: Report) -> Iterator[str]:
    yield f"- Plan: {_escape(report.plan)}"
    yield f"- Folder: {_escape(report.cwd)}"
    yield f"- Started: {_moment(report.started_at)}"
    yield f"- Ended: {_moment(report.ended_at)}"
    yield f"- Result: {_escape(_verdict(report))}"


def _table(report: Report) -> Iterator[str]:
    yield "| task | status | attempts | time | exit | lines | output | reason |"
    yield "| --- | --- | ---: | ---: | --- | ---: | ---: | --- |"
    for task in sorted(report.tasks, key=lambda task: _ORDER.index(task.status)):
        cells = (task.id, task.status, *_figures(task), _reason(task))
        yield f"| {' | '.join(map(_escape, cells))} |"


def _figures(task: TaskReport) -> tuple[str, str, str, str, str]:
    streams = [
        stream
        for attempt in task.attempts
        for stream in (attempt.stdout, attempt.stderr, attempt.terminal, attempt.session, attempt.log)
    ]
    lines, size = sum(stream.lines for stream in streams), sum(stream.bytes for stream in streams)
    end = _end(task.attempts[-1]) if task.attempts else ""
    return str(len(task.attempts)), _elapsed(task.seconds), end, str(lines), format_bytes(size)


def _elapsed(seconds: float | None) -> str:
    return "" if seconds is None else format_elapsed(seconds)


def _reason(task: TaskReport) -> str:
    reason = (
        f"{task.reason} (allowed)" if task.allowed and task.status in ("failed", "timed-out", "parked") else task.reason
    )
    stalled = sum(attempt.stalled_seconds for attempt in task.attempts)
    done = ", ".join(action for attempt in task.attempts for action in attempt.actions)
    parts = (reason, f"stalled for {format_elapsed(stalled)} in all" if stalled else "", done, _gaps(task))
    return "; ".join(part for part in parts if part)


def _gaps(task: TaskReport) -> str:
    gaps, lost = (sum(getattr(attempt, name) for attempt in task.attempts) for name in ("gaps", "lost"))
    if not gaps:
        return ""
    return f"{gaps} gap{'' if gaps == 1 else 's'} in its output" + (f", {format_bytes(lost)} or more" if lost else "")


def _failure(folder: FleetFolder, task: TaskReport) -> str:
    parts = [f"## {_escape(task.id)}: {task.status}", _escape(task.reason)]
    parts.append("\n".join(f"- Attempt {attempt.number}: {_escape(_account(attempt))}" for attempt in task.attempts))
    if task.attempts:
        parts.extend(_tail(folder, task, task.attempts[-1]))
    return "\n\n".join(part for part in parts if part)


def _account(attempt: AttemptReport) -> str:
    end = f"exit code {attempt.code}" if attempt.code is not None else _end(attempt)
    parts = [end or "did not end", _elapsed(attempt.seconds), attempt.error]
    parts.extend(attempt.actions)
    parts.extend(f"left behind and ended: {process}" for process in attempt.swept)
    return "; ".join(part for part in parts if part)


def _tail(folder: FleetFolder, task: TaskReport, attempt: AttemptReport) -> Iterator[str]:
    """The last lines of stderr; those of stdout or of the terminal where there are none."""
    streams: tuple[Stream, ...] = ("stderr", "stdout", "terminal", "session", "log")
    place, own = place_of(folder, task.id)
    for stream in streams:
        path = place.spool(WorkerId(own), attempt.number, stream)
        lines = _last_lines(path, open_redactor(place))
        if lines:
            text = "\n".join(lines)
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            name = {"terminal": "the terminal", "session": "its session", "log": "its log file"}.get(stream, stream)
            yield f"The end of {name} of attempt {attempt.number}:"
            yield f"{fence}text\n{text}\n{fence}"
            return


def _last_lines(path: Path, redactor: Redactor) -> list[str]:
    try:
        with path.open("rb") as file:
            start = max(file.seek(0, 2) - _TAIL_BYTES - redactor.longest, 0)  # a secret may begin before
            file.seek(start)
            data = redactor.redact(file.read(_TAIL_BYTES + redactor.longest))
    except FileNotFoundError:
        return []
    if start:
        data = data.partition(b"\n")[2] or data
    text = strip_ansi(data.decode("utf-8", "replace"))
    lines = [printable(line.rstrip("\r").rpartition("\r")[2])[:_TAIL_WIDTH].rstrip() for line in text.split("\n")]
    return [line for line in lines if line][-_TAIL_LINES:]


def _verdict(report: Report) -> str:
    seconds = "" if report.totals.seconds is None else f" in {format_elapsed(report.totals.seconds)}"
    return f"{report.outcome or 'not ended'}{seconds}: {format_counts(report.totals.statuses)}"


def _end(attempt: AttemptReport) -> str:
    if attempt.signal:
        return attempt.signal
    if attempt.code is not None:
        return str(attempt.code)
    return attempt.reason or ""


def _moment(at: float | None) -> str:
    return "not yet" if at is None else time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))


def _escape(text: str) -> str:
    """As plain text in Markdown: no markup, no link, no cell of a table ends in it."""
    return _PUNCTUATION.sub(r"\\\1", one_line(text))
