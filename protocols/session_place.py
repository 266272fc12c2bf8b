"""Of whom something is told, when, and how it is known."""

from dataclasses import dataclass
from typing import Any

from protocols.ids import WorkerId

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    worker: WorkerId
    attempt: int
    session: str
    at: float
    label: str = ""
    """In front of the headings of a child."""
    reconciled: bool = False

    def fields(self) -> dict[str, Any]:
        """What all events of sessions have."""
        return {
            "at": self.at,
            "worker": self.worker,
            "attempt": self.attempt,
            "session": self.session,
            "reconciled": self.reconciled,
        }
