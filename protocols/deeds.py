"""What was done about workers that stood still or had little time left, in words."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from protocols.durations import format_duration
from protocols.events import WorkerAction, WorkerWarned
from protocols.liveness_states import Action

__all__ = ["list_deeds", "tell_deed"]

_DONE: Mapping[Action, str] = MappingProxyType(
    {"nudge": "nudged", "interrupt": "interrupted", "restart": "restarted", "fail": "given up"}
)


def tell_deed(event: WorkerAction | WorkerWarned) -> str | None:
    """One line; None for ``tell``, as the verdict has told it. May hold control characters."""
    if isinstance(event, WorkerWarned):
        left = format_duration(max(round(event.left), 1))
        return f"{event.worker}: {f'not warned: {event.failed}' if event.failed else f'warned: {left} left'}"
    if event.action not in _DONE:
        return None
    if event.failed:
        return f"{event.worker}: {event.action} left out: {event.failed}"
    return f"{event.worker}: {_DONE[event.action]}: {event.reason}"


def list_deeds(actions: Sequence[WorkerAction]) -> tuple[str, ...]:
    """What was done, in order, such as ``nudged``; what could not be done is left aside."""
    return tuple(_DONE[each.action] for each in actions if not each.failed and each.action in _DONE)
