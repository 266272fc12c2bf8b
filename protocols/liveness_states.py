"""The states that a worker can be in by all that is seen of it, and what can be done where it stands still."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

__all__ = ["CLASSIC", "WAITING", "Action", "Classic", "State"]

State: TypeAlias = Literal[
    "starting",
    "reading",
    "thinking",
    "working",
    "testing",
    "waiting-permission",
    "waiting-quota",
    "idle",
    "quiet",
    "stalled",
    "complete",
    "error",
    "unknown",
]
Action: TypeAlias = Literal["tell", "nudge", "interrupt", "restart", "fail"]
Classic: TypeAlias = Literal[
    "initializing", "reading", "thinking", "working", "testing", "idle", "stuck", "error", "complete"
]
WAITING: frozenset[State] = frozenset(("waiting-permission", "waiting-quota"))
CLASSIC: Mapping[State, Classic | None] = MappingProxyType(
    {
        "starting": "initializing",
        "reading": "reading",
        "thinking": "thinking",
        "working": "working",
        "testing": "testing",
        "waiting-permission": "idle",
        "waiting-quota": "idle",
        "idle": "idle",
        "quiet": "idle",
        "stalled": "stuck",
        "complete": "complete",
        "error": "error",
        "unknown": None,
    }
)
"""For those who know nine states. Who waits does nothing and is not stuck, nor is who is only suspected to be; and of
the nine none means "unknown"."""
