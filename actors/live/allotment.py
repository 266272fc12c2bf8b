"""Which workers of a run get rows on a screen, and how many."""

from collections.abc import Sequence
from typing import NamedTuple

from actors.cells import Size
from protocols.board import Board
from protocols.ids import TaskId
from protocols.states import TaskView

__all__ = ["Arrangement", "Slot", "arrange", "divide", "share"]

_NOTICES = 3
_TAIL = 8
_STANDING = 6  # rows of a screen that tells at least one thing that holds
_AIRY = 10  # rows of a screen that has an empty one to spare


class Slot(NamedTuple):
    """A worker that is shown. Of its last lines at most ``tail`` may find room."""

    task: TaskId
    tail: int


class Arrangement(NamedTuple):
    """Who is shown, in this order, and who is not."""

    slots: tuple[Slot, ...]
    hidden: tuple[TaskId, ...]


class Room(NamedTuple):
    """What the rows of a screen are for, from the top down."""

    title: int
    summary: int
    gap: int
    blocks: int
    """The workers, and the row that tells of those who are not shown."""
    space: int
    notices: int
    hint: int


def divide(board: Board, rows: int, now: float) -> Room:
    """Share out the rows of a screen. On a small one the workers come first, then the summary and the hint."""
    room = max((rows - 8) // 4, int(bool(board.standing) and rows >= _STANDING))
    notices = min(len(board.told(now)), _NOTICES, room)
    title, summary, hint = int(rows >= 5), 1, int(rows >= 2)
    gap = space = int(rows >= _AIRY)
    blocks = rows - title - summary - gap - space - notices - hint
    return Room(title, summary, gap, blocks, space, notices, hint)


def arrange(board: Board, size: Size, now: float) -> Arrangement:
    """A row for each worker while there are rows, those first that need attention; then last lines of those that run.

    Where not all fit, failed ones get a quarter of the rows, and those that are done or have not begun leave half of
    what is left to the last lines.
    """
    order, tasks = board.ordered(now), board.tasks
    room = divide(board, size.rows, now).blocks
    names: Sequence[TaskId] = order
    if len(order) > room:
        chosen = _choose([tasks[name] for name in order], max(room - 1, min(room, 1)))
        names = [name for name in order if name in chosen]
        room -= room > 1
    chatty = [name for name in names if _has_output(tasks[name])]
    spare = max(room - len(names), 0)
    tails = dict.fromkeys(chatty[:spare], min(spare, _TAIL))
    shown = set(names)
    slots = tuple(Slot(name, tails.get(name, 0)) for name in names)
    return Arrangement(slots, tuple(name for name in order if name not in shown))


def share(wanted: Sequence[int], rows: int) -> list[int]:
    """Rows for each, one in turn, until all have what they wanted or none is left."""
    given = [0] * len(wanted)
    for _ in range(max(wanted, default=0)):
        for index, most in enumerate(wanted):
            if given[index] < most and rows > 0:
                given[index] += 1
                rows -= 1
    return given


def _choose(tasks: Sequence[TaskView], heads: int) -> set[TaskId]:
    """Those that get one of the ``heads`` rows, which are too few for all."""
    kinds: dict[str, list[TaskId]] = {"failed": [], "active": [], "resting": []}
    for task in tasks:
        kinds[_kind(task)].append(task.id)
    failed, active, resting = kinds.values()
    tails = _TAIL * sum(map(_runs, tasks))
    del failed[max(heads // 4, heads - len(active) - tails - len(resting)) if active else heads :]
    del active[heads - len(failed) :]
    left = heads - len(failed) - len(active)
    return {*failed, *active, *resting[: max(left - tails, left // 2)]}


def _kind(task: TaskView) -> str:
    match task.status:
        case "running" | "retrying" | "restarting":
            return "active"
        case "failed" | "timed-out" | "parked" if not task.allowed:
            return "failed"
        case _:
            return "resting"


def _runs(task: TaskView) -> bool:
    return task.status == "running"


def _has_output(task: TaskView) -> bool:
    return _runs(task) and bool(task.attempts) and any(task.attempts[-1].output.values())
