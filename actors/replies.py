"""Answers to those who asked, of whom some wait no longer; and the attempts of a source, each begun once."""

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import trio

from actors.orders import Answer, Ask, AskSpawn
from protocols.errors import SpawnError
from protocols.ids import AttemptId
from protocols.keeper import Forget

__all__ = ["Attempts", "reply"]


class _Worker(Protocol):
    answered: Answer | None
    """To the request for its start, once there is an answer."""


W = TypeVar("W", bound=_Worker)


def reply(to: trio.MemorySendChannel[Answer] | None, answer: Answer) -> Answer:
    """The only answer, to a channel of one slot: None where nobody cares. Return it."""
    if to is not None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # who asked waits no longer
            to.send_nowait(answer)
    return answer


class Attempts(Generic[W]):
    """Those that a source has, until it is told to forget them."""

    def __init__(self) -> None:
        self._workers: dict[AttemptId, W] = {}

    def begin(self, ask: AskSpawn, make: Callable[[AskSpawn], W]) -> W | None:
        """The worker, to be run. None: it runs already, and who asks is told so."""
        known = self._workers.get(ask.request.attempt)
        if known is not None and known.answered is not None and known.answered.error is None:
            reply(ask.answer, known.answered)
            return None
        worker = self._workers[ask.request.attempt] = make(ask)
        return worker

    def find(self, ask: Ask) -> W | None:
        """Who is to answer. None: nobody is, and who asks is told so."""
        attempt = getattr(ask.request, "attempt", AttemptId(""))
        worker = self._workers.get(attempt)
        if worker is None:
            reply(ask.answer, Answer(error=SpawnError("it has ended", "ESRCH")))
        if isinstance(ask.request, Forget):
            self._workers.pop(attempt, None)
        return worker
