"""What is known of a fleet's workers and requests while keepers come and go."""

import logging
import math
from dataclasses import dataclass, field

import trio

from actors.adoption import Held
from actors.orders import Answer, KeeperAsk
from protocols.errors import KeeperError
from protocols.ids import AttemptId
from protocols.keeper import Adopt, Ping, Report
from protocols.keeper_inputs import Interrupt, Signal, Write
from protocols.resumption import Resumption

__all__ = ["Pending", "Table", "answer_to"]

logger = logging.getLogger(__name__)

_DOUBT = "the keeper died; nobody knows whether it arrived"


@dataclass(slots=True)
class Pending:
    ask: KeeperAsk
    asked_at: float
    """On trio's clock; infinite where the answer may take its time."""


@dataclass(slots=True)
class Table:
    """What outlives a keeper: running attempts and unanswered requests."""

    held: dict[AttemptId, Held] = field(default_factory=dict)
    pending: dict[int, Pending] = field(default_factory=dict)
    last_id: int = 1
    resumption: Resumption | None = None
    """Where an earlier supervisor has left the run."""
    early: dict[AttemptId, list[Report]] = field(default_factory=dict)
    """What a keeper that was found has said of attempts that nobody has taken up yet."""
    staying: list[int] = field(default_factory=list)
    """The pid of a keeper that is left to itself."""
    finished: bool = False
    """`Shutdown` was answered: the keeper's end is no loss."""

    def begin(self) -> list[int]:
        """With a new keeper. Return the numbers of the requests that are to be made again."""
        for number, pending in list(self.pending.items()):
            if isinstance(pending.ask.request, Adopt | Ping):
                del self.pending[number]
            elif isinstance(pending.ask.request, Write | Interrupt | Signal):  # twice would be worse than never
                answer_to(self.pending.pop(number).ask, Answer(error=KeeperError(_DOUBT)))
            else:
                pending.asked_at = math.inf
        return list(self.pending)

    def close(self) -> None:
        for held in self.held.values():
            held.close()


def answer_to(ask: KeeperAsk, answer: Answer) -> None:
    if ask.answer is None:
        return
    try:
        ask.answer.send_nowait(answer)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        logger.warning("nobody waits for the answer to %s", type(ask.request).__name__)
