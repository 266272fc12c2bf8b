"""Who carries out what somebody outside wants of a fleet."""

from typing import Protocol

from protocols.commands import Command, Done

__all__ = ["Commander", "RefusedError"]


class RefusedError(Exception):
    """It is understood and will not be done; the text says why, and what to do."""


class Commander(Protocol):
    async def carry_out(self, command: Command, *, pid: int = 0) -> Done:
        """Return when the effect is in the journal. ``pid``: the process on this machine that asks, 0 if unknown: a
        worker of this fleet may do less than a person. Raise `RefusedError`."""
