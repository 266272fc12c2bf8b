"""The callboards below one, told by its port, else by its journal."""

import time
from collections.abc import Sequence
from pathlib import Path

from protocols.durations import format_elapsed
from protocols.plain import format_counts
from protocols.port_results import InstanceLine
from protocols.port_view import list_instances
from supervisor.sweep import conclude
from supervisor.table import render_table
from supervisor.up_state import find_main, is_up
from supervisor.views import read_view

__all__ = ["read_instances", "render_instances"]

_TITLES = ("instance", "status", "run", "attempt", "pid", "time", "tasks", "plan")


def read_instances(state: Path) -> tuple[InstanceLine, ...]:
    """Raise InputError where nothing ran here, UnreachableError where the supervisor does not answer."""
    if is_up(state):
        from supervisor.port_access import ask_port  # noqa: PLC0415 - whoever reads journals needs nothing of the port

        return ask_port(state, lambda client: client.instances()).instances
    fleet = find_main(state)
    if not fleet.is_alive():
        conclude(fleet)
    return tuple(list_instances(read_view(fleet.folder.journal), fleet.folder))


def render_instances(found: Sequence[InstanceLine], width: int | None) -> str:
    """``width`` in columns."""
    if not found:
        return "no instances; start one with: callboard submit PLAN.toml"
    rows = [
        (
            line.instance,
            line.status,
            line.run or "",
            str(line.attempt or ""),
            "" if line.pid is None else str(line.pid),
            _seconds(line),
            format_counts(line.counts) if line.counts else "",
            line.plan,
        )
        for line in found
    ]
    return render_table(_TITLES, rows, right=("attempt", "pid", "time"), spare=("attempt", "pid", "plan"), width=width)


def _seconds(line: InstanceLine) -> str:
    if line.started_at is None:
        return ""
    return format_elapsed((time.time() if line.ended_at is None else line.ended_at) - line.started_at)
