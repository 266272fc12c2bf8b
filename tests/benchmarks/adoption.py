"""How long it takes until another supervisor follows the workers of one that was killed."""

import time

from protocols.adoption_events import WorkerAdopted
from protocols.events import WorkerStarted
from tests.benchmarks.figures import Figure
from tests.benchmarks.running import plan_text, resumed_plan, running_plan, scratch

__all__ = ["measure"]

_MANY = 200
_SECONDS = "120"  # they end by themselves where the second supervisor does not come up


def measure(*, quick: bool) -> list[Figure]:
    rounds = 2 if quick else 5
    alone, many = [], []
    for _ in range(rounds):
        alone.append(_adopt(1))
        many.append(_adopt(_MANY))
    each = [1000 * (all_ - one) / (_MANY - 1) for all_, one in zip(many, alone, strict=True)]
    return [
        Figure(name=f"adoption: until {_MANY} workers are followed again, to one", unit="s", samples=many,
               references=alone, at_most=5, of_ratio=True),
        Figure(name="adoption: each further worker", unit="ms", samples=each),
    ]  # fmt: skip


def _adopt(workers: int) -> float:
    """Seconds from the start of the command to the record of the last adoption."""
    text = plan_text([(f"w{number}", ("sleep", _SECONDS)) for number in range(workers)])
    with scratch(in_memory=True) as folder:
        with running_plan(text, folder, "--durable") as run:
            run.until(WorkerStarted, workers)
            run.process.kill()
        began = time.perf_counter()
        with resumed_plan(folder) as again:
            again.until(WorkerAdopted, workers)
            return time.perf_counter() - began
