"""The permissions that sessions of a run, and of its instances, wait for."""

import msgspec

from protocols.states import RunView
from protocols.task_tree import walk

__all__ = ["OpenPermission", "open_permissions"]


class OpenPermission(msgspec.Struct, frozen=True, kw_only=True):
    task: str
    """As it is seen from the run: ``lint``, or ``build/lint``."""
    attempt: int
    permission: str
    """Its id, for the reply."""
    session: str
    tool: str
    """Such as ``bash`` or ``edit``."""
    patterns: tuple[str, ...]
    """The commands or paths that it is asked for."""
    asked_at: float
    """Unix time."""


def open_permissions(view: RunView) -> list[OpenPermission]:
    """Who has waited longest first."""
    found = [
        OpenPermission(
            task=leaf.name,
            attempt=attempt.number,
            permission=asked.id,
            session=asked.session,
            tool=asked.tool,
            patterns=asked.patterns,
            asked_at=asked.at,
        )
        for leaf in walk(view)
        for attempt in leaf.task.attempts[-1:]
        if attempt.exited is None and attempt.session is not None
        for asked in attempt.session.permissions.values()
    ]
    return sorted(found, key=lambda each: each.asked_at)
