"""Ten minutes of work: what supervisor and keeper hold does not grow with what they have done."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from protocols.events import WorkerExited
from tests.benchmarks.processes import memory
from tests.running import RunningPlan, python, running
from tests.sources import KINDS

_SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
_WARM = 0.25
"""Of the time, until which buffers and caches have their size."""
_MB = 1e6
_EACH = 4096
"""Bytes that an attempt may leave behind: it is in the report at the end."""
_SPARE = 4 * _MB
_POUR = "import os, time\nwhile True:\n    os.write(1, b'x' * 79 + b'\\n')\n    time.sleep(0.005)"
_BEAT = "import os, time\nfor _ in range(10):\n    os.write(1, b'line\\n')\n    time.sleep(0.1)"
_FOR_EVER = {"when": "always", "limit": 1_000_000, "healthy_after": "100ms"}


def _plan() -> list[str]:
    """Ten that print without end, four that are restarted each second, on pipes and terminals."""
    pouring = [python(f"pour{at}", _POUR, source=KINDS[at % 2].source) for at in range(10)]
    return [*pouring, *(python(f"beat{at}", _BEAT, source=KINDS[at % 2].source, restart=_FOR_EVER) for at in range(4))]


@pytest.mark.soak
@pytest.mark.deadline(_SECONDS + 120)
def test_memory_does_not_grow_with_time(tmp_path: Path) -> None:
    with running(tmp_path, *_plan(), settings='[liveness]\nheartbeat = "500ms"\n') as run:
        run.wait_for(WorkerExited, "beat0")
        keeper = int(run.folder.keeper_lock.read_text())
        began, ended = run.records()[-1].event.at, 0.0
        samples: list[tuple[float, int, int, int]] = []
        while ended < _SECONDS:
            time.sleep(min(5.0, _SECONDS / 20))
            ended = time.time() - began
            samples.append((ended, memory(run.process.pid).rss, memory(keeper).rss, _attempts(run)))
        run.signal(signal.SIGTERM)
        run.finish(130)

    warm = [sample for sample in samples if sample[0] >= _WARM * _SECONDS]
    first, last = warm[0], warm[-1]
    allowed = _SPARE + _EACH * (last[3] - first[3])
    for name, at in (("supervisor", 1), ("keeper", 2)):
        growth = last[at] - first[at]
        print(f"{name}: {first[at] / _MB:.1f} MB at {first[0]:.0f} s, {last[at] / _MB:.1f} MB at {last[0]:.0f} s, "
              f"{last[3]} attempts", file=sys.stderr)  # fmt: skip
        assert growth <= allowed, f"{name} has grown by {growth / _MB:.1f} MB in {last[0] - first[0]:.0f} s"


def _attempts(run: RunningPlan) -> int:
    return len(run.events(WorkerExited))
