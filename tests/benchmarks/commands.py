"""How long a user waits for the commands that only look."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.running import CALLBOARD, plan_text, scratch

__all__ = ["measure"]

_RUNS = 20


def measure(*, quick: bool) -> list[Figure]:
    rounds = 5 if quick else 15
    with scratch() as folder:
        plan = folder / "plan.toml"
        plan.write_text(plan_text([(f"task-{number}", ("true",)) for number in range(4)]))
        for _ in range(_RUNS):
            _time((CALLBOARD, "run", str(plan)), folder)
        samples = [
            (
                _time((sys.executable, "-c", "pass"), folder),
                _time((CALLBOARD, "--help"), folder),
                _time((CALLBOARD, "runs"), folder),
            )
            for _ in range(rounds)
        ]
    bare, shown, listed = (list(column) for column in zip(*samples, strict=True))
    return [
        Figure(name="callboard --help", unit="s", samples=shown, references=bare, at_most=0.5),
        Figure(name=f"callboard runs, of {_RUNS}", unit="s", samples=listed, references=bare, at_most=0.6),
    ]


def _time(command: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
