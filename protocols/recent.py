"""What was seen lately, in bounded memory."""

__all__ = ["RecentIds"]


class RecentIds:
    """At least the last ``most`` that were new when they were added, at most twice as many."""

    def __init__(self, most: int = 16384) -> None:
        self._most = most
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._young or name in self._old

    def add(self, name: str) -> bool:
        """True: it is new."""
        if name in self._young or name in self._old:
            return False
        self._young.add(name)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        return True

    def discard(self, name: str) -> None:
        self._young.discard(name)
        self._old.discard(name)
