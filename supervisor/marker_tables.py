"""Which markers to look for in the output of a task: those of the agent that it runs, if that is known."""

from collections.abc import Iterable
from pathlib import Path

from protocols import markers
from protocols.ids import WorkerId
from protocols.markers import Markers, parse_markers
from protocols.plan import Task

__all__ = ["choose_markers"]

_TABLES = Path(markers.__file__).with_name("markers.toml")
_OTHERS = "tests"
"""What all kinds of build tools and test runners print."""


def choose_markers(tasks: Iterable[Task]) -> dict[WorkerId, Markers]:
    """The markers for the worker of each task."""
    tables = parse_markers(_TABLES.read_text("utf-8"), _TABLES.name)
    return {WorkerId(task.id): tables.get(_program(task), tables[_OTHERS]) for task in tasks}


def _program(task: Task) -> str:
    """The name of what it runs, as far as that can be seen without a shell."""
    if not task.command:
        return ""
    words = task.command[-1].split(maxsplit=1) if task.shell else task.command
    return Path(words[0]).name if words else ""
