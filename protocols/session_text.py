"""What a session says and does as readable text, in clear blocks that are never torn by another.

Text comes as it streams. While one block is open the others wait for it, at most a moment where it stands still.
"""

from dataclasses import dataclass

__all__ = ["SessionText"]


@dataclass(slots=True, kw_only=True)
class SessionText:
    """Each call returns what to write now, most often all of it; control characters of agents pass as they are.

    ``label``: whose block it is, empty for the session itself.
    """

    reasoning: bool = True

    def grow(self, block: str, heading: str, text: str, at: float, label: str = "") -> str:
        """Append to a block that stays open. ``block`` names it; the first time it begins with its heading, such as
        ``[BASH] $ make``."""
        raise NotImplementedError

    def close(self, block: str, at: float) -> str:
        raise NotImplementedError

    def add(self, heading: str, text: str, at: float, label: str = "") -> str:
        """A block that is complete."""
        raise NotImplementedError

    def flush(self, at: float) -> str:
        """All that waits, because nothing will come any more."""
        raise NotImplementedError
