"""``python -m tests.benchmarks``: measure, and print a table.

Ratios are of things that were measured right after each other: other programs use the machine too. How much they do is
printed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import adoption, capture, commands, display, graph, latency, port, routing, spawning, vitals
from tests.benchmarks.figures import Figure, show

__all__ = ["main"]

_SUBJECTS: dict[str, Callable[..., list[Figure]]] = {
    "commands": commands.measure,
    "spawning": spawning.measure,
    "adoption": adoption.measure,
    "latency": latency.measure,
    "capture": capture.measure,
    "display": display.measure,
    "vitals": vitals.measure,
    "routing": routing.measure,
    "graph": graph.measure,
    "port": port.measure,
}
_LOOK = 1.0
_BUSY = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure, and print a table.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"what to measure: {', '.join(_SUBJECTS)}")
    parser.add_argument("--quick", action="store_true", help="less data and fewer rounds")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in _SUBJECTS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]}; there are {', '.join(_SUBJECTS)}")
    figures: list[Figure] = []
    for name in arguments.names or _SUBJECTS:
        if (busy := _others()) > _BUSY:
            print(f"note: before {name}, other programs use {busy:.0%} of the machine", file=sys.stderr)
        figures += _SUBJECTS[name](quick=arguments.quick)
    print(show(figures))


def _others() -> float:
    """How much of all cores is in use while we do nothing."""
    before = _times()
    time.sleep(_LOOK)
    used, idle = (after - earlier for after, earlier in zip(_times(), before, strict=True))
    return used / max(used + idle, 1)


def _times() -> tuple[int, int]:
    """Ticks that all cores together were in use, and were not."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, idle


if __name__ == "__main__":
    main()
