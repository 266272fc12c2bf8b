"""The table of ``callboard top``: who takes most of the machine comes first."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from protocols.durations import format_elapsed
from protocols.ids import TaskId
from protocols.port_results import WorkerLine
from protocols.sizes import format_bytes
from supervisor.process_use import Meter, Use
from supervisor.table import render_table
from supervisor.task_text import output_of, tell_task
from supervisor.worker_reading import Workers

__all__ = ["Top", "TopLine", "render_top"]

_TITLES = ("worker", "state", "time", "cpu", "memory", "procs", "output", "rate", "done", "what")
_NONE = Use(None, 0, 0)


class TopLine(msgspec.Struct, frozen=True, kw_only=True):
    """What ``callboard top --json`` prints of a worker."""

    worker: TaskId
    state: str
    seconds: float | None
    pid: int | None
    cpu: float | None
    """Processors, 1.0 is one in full; None at the first look."""
    memory: int | None
    processes: int
    output: int
    rate: float | None
    """Bytes of output a second; None at the first look."""
    fraction: float | None
    what: str


@dataclass(slots=True)
class Top:
    """Each look compares with the one before."""

    clock: Callable[[], float] = time.monotonic
    meter: Meter = field(default_factory=Meter)
    _before: Mapping[tuple[TaskId, int], tuple[float, int]] = field(default_factory=dict)

    def look(self, found: Workers) -> list[TopLine]:
        now = self.clock()
        running = [line for line in found.workers if line.status == "running"]
        uses = self.meter.look({line.pid for line in running if line.pid is not None}, now)
        lines = [self._line(line, uses.get(line.pid or 0, _NONE), now, found.at) for line in running]
        self._before = {(line.task, line.attempt): (now, output_of(line)) for line in running}
        return sorted(lines, key=lambda line: (-(line.cpu or 0.0), -(line.memory or 0), line.worker))

    def _line(self, line: WorkerLine, use: Use, now: float, at: float) -> TopLine:
        since, output = self._before.get((line.task, line.attempt), (now, 0))
        passed = now - since
        return TopLine(
            worker=line.task,
            state="running" if line.verdict is None else line.verdict.state,
            seconds=line.seconds,
            pid=line.pid,
            cpu=use.cpu,
            memory=use.memory or None,
            processes=use.processes,
            output=output_of(line),
            rate=(output_of(line) - output) / passed if passed > 0 else None,
            fraction=line.fraction,
            what=tell_task(line, at),
        )


def render_top(lines: list[TopLine], width: int | None) -> str:
    """``width`` in columns."""
    if not lines:
        return "none runs"
    rows = [
        (
            line.worker,
            line.state,
            "" if line.seconds is None else format_elapsed(line.seconds),
            "" if line.cpu is None else f"{line.cpu:.0%}",
            "" if line.memory is None else format_bytes(line.memory),
            str(line.processes or ""),
            format_bytes(line.output),
            "" if line.rate is None else f"{format_bytes(line.rate)}/s",
            "" if line.fraction is None else f"{line.fraction:.0%}",
            line.what,
        )
        for line in lines
    ]
    return render_table(_TITLES, rows, right=_TITLES[2:9], spare=("procs", "output", "done", "time"), width=width)
