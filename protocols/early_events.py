"""Events of sessions that nobody has registered yet, kept for a while: who creates a session registers it later."""

from collections import deque
from collections.abc import Collection

from protocols.opencode import Envelope

__all__ = ["EarlyEvents"]

_MOST = 4096
_MOST_BYTES = 16 * 1024 * 1024
_AGE = 60.0
_MOST_PARENTS = 16384


class EarlyEvents:
    """Bounded in count, bytes and age (seconds). What does not fit any longer comes back: it is for nobody."""

    def __init__(self, most: int = _MOST, most_bytes: int = _MOST_BYTES, age: float = _AGE) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._age = age
        self._events: deque[Envelope] = deque()
        self._bytes = 0
        self._parents: dict[str, str] = {}

    def add(self, event: Envelope) -> list[Envelope]:
        """Keep it; what has to go for it."""
        if event.parent:
            self._parents.pop(event.session, None)
            self._parents[event.session] = event.parent
            if len(self._parents) > _MOST_PARENTS:
                del self._parents[next(iter(self._parents))]
        self._events.append(event)
        self._bytes += len(event.payload)
        return self.expire(event.at)

    def expire(self, now: float) -> list[Envelope]:
        gone: list[Envelope] = []
        while self._events and (
            len(self._events) > self._most
            or self._bytes > self._most_bytes
            or abs(now - self._events[0].at) > self._age
        ):
            event = self._events.popleft()
            self._bytes -= len(event.payload)
            gone.append(event)
        return gone

    def descendants(self, session: str) -> set[str]:
        """The sessions below it, as far as events said so."""
        found: set[str] = set()
        below = {session}
        while below:
            below = {child for child, parent in self._parents.items() if parent in below} - found - {session}
            found |= below
        return found

    def take(self, sessions: Collection[str]) -> list[Envelope]:
        """Those of these sessions, in the order in which they came; they are kept no longer."""
        taken = [event for event in self._events if event.session in sessions]
        if taken:
            self._events = deque(event for event in self._events if event.session not in sessions)
            self._bytes -= sum(len(event.payload) for event in taken)
        return taken
