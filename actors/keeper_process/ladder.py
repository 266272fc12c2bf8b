"""How one attempt ends, step by step: a state machine without clock, process or file of its own."""

from enum import Enum, auto
from math import inf

__all__ = ["AFTER_LEADER", "Ladder", "Order", "Phase"]

AFTER_LEADER = 0.5  # what left-overs get between TERM and KILL once their leader is gone
CLEAN_LOOKS = 3  # a chain of forks can hide from one look, and from a second one
_FIRST_PAUSE = 0.001  # a killed process needs about that long to be gone
_LONGEST_PAUSE = 0.1  # something that does not die waits for a disk: no need to look more often


class Phase(Enum):
    LIVING = auto()
    """The leader lives and nobody asked for its end."""
    LINGERING = auto()
    """The leader ended by itself; its output and its children may finish until ``due``."""
    TERMINATING = auto()
    """TERM was sent, or is about to be; KILL follows at ``due``."""
    KILLING = auto()
    """KILL is sent to whatever is found, until nothing is found any more."""
    CLOSING = auto()
    """No process is left; the last bytes are on their way to the disk."""


class Order(Enum):
    TERM = auto()
    KILL = auto()
    FINISH = auto()
    """Copy what the pipes hold and close them, whoever else still has them open."""
    END = auto()
    """All is done."""


class Ladder:
    """Times are seconds of one clock that the caller reads. ``advance`` says what to do next."""

    def __init__(self, *, not_after: float = inf, grace: float, linger: float) -> None:
        self.phase = Phase.LIVING
        self.reason = "exit"
        """Why the attempt ended: ``exit`` unless the ladder began while the leader lived."""
        self.leader_gone = False
        self._grace = grace
        self._linger = linger
        self._deadline = not_after
        self._again = False
        self._owes_term = False
        self._clean = 0
        self._pause = _FIRST_PAUSE

    @property
    def due(self) -> float:
        """When to call ``advance`` if nothing happens before."""
        return -inf if self._again else self._deadline

    def stop(self, now: float, grace: float, reason: str) -> bool:
        """Begin, or hurry. False: that is no change, because the end is as near already."""
        if self.phase is Phase.LIVING:
            self.reason = reason
            self._begin(now, grace)
            return True
        if self.phase is Phase.LINGERING:
            self._begin(now, min(grace, AFTER_LEADER))
            return True
        if self.phase is Phase.TERMINATING and now + grace < self._deadline:
            self._deadline = now + grace
            return True
        return False

    def extend(self, now: float, left: float) -> None:
        """Move the timeout of one that lives. An end that has begun goes on."""
        if self.phase is Phase.LIVING:
            self._deadline = now + left

    def exited(self, now: float) -> None:
        """The leader is gone."""
        self.leader_gone = True
        if self.phase is Phase.LIVING:
            self.phase = Phase.LINGERING
            self._deadline = now + self._linger
        elif self.phase is Phase.TERMINATING:
            self._deadline = min(self._deadline, now + AFTER_LEADER)

    def wants_look(self, now: float, open_streams: bool) -> bool:
        """Whether ``advance`` has to know what is left of the tree. A look costs something."""
        if self._again or now >= self._deadline:
            return self.phase is not Phase.CLOSING
        if self.phase is Phase.TERMINATING and self._owes_term:
            return True
        return self.leader_gone and not open_streams and self.phase in {Phase.LINGERING, Phase.TERMINATING}

    def advance(self, now: float, *, left: bool, open_streams: bool) -> Order | None:
        """What to do now. ``left``: a process of the tree lives; ``open_streams``: output is not complete yet."""
        self._again = False
        if self.phase is Phase.CLOSING:
            return None if open_streams else Order.END
        if self.phase is Phase.LIVING and now >= self._deadline:
            self.stop(now, self._grace, "timeout")
        if self.leader_gone and not left:
            return self._look_was_clean(now, open_streams)
        self._clean = 0
        if self.phase is Phase.LINGERING and now >= self._deadline:
            self._begin(now, AFTER_LEADER)
        if self.phase is Phase.TERMINATING:
            return self._terminate(now)
        return self._kill(now) if self.phase is Phase.KILLING else None

    def _begin(self, now: float, grace: float) -> None:
        self.phase = Phase.TERMINATING
        self._deadline = now + grace
        self._owes_term = grace > 0

    def _terminate(self, now: float) -> Order | None:
        if now >= self._deadline:
            self.phase = Phase.KILLING
            return self._kill(now)
        owes, self._owes_term = self._owes_term, False
        return Order.TERM if owes else None

    def _kill(self, now: float) -> Order:
        self._deadline = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return Order.KILL

    def _look_was_clean(self, now: float, open_streams: bool) -> Order | None:
        if open_streams and self.phase is not Phase.KILLING and now < self._deadline:
            return None
        self._clean += 1
        if self.phase is not Phase.LINGERING and self._clean < CLEAN_LOOKS:
            self._again = True
            return None
        self.phase = Phase.CLOSING
        self._deadline = inf
        return Order.FINISH if open_streams else Order.END
