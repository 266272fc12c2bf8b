"""Groups of actors that start and end together: the order of layers is the order of starting and stopping."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Never

import trio

__all__ = ["layer"]

logger = logging.getLogger(__name__)


@asynccontextmanager
async def layer(*outboxes: trio.MemorySendChannel[Never], drain: float) -> AsyncIterator[trio.Nursery]:
    """Open a nursery for actors that outlive the body, and own the outboxes they send to.

    When the body has ended, and every layer inside it with that, the actors get ``drain`` seconds to do what is left;
    then they are cancelled. Last the outboxes are closed, so that the layer around drains and returns. The order is
    the same when the body is cancelled from outside, but then nobody gets time; that also ends a drain that is
    infinite. An actor that fails ends its layer: the body and the other actors are cancelled, the layers around
    drain. Errors come out in exception groups.
    """
    try:
        async with trio.open_nursery() as keeper:
            ending, gone = trio.Event(), trio.Event()
            actors: trio.Nursery = await keeper.start(_hold, ending, gone)
            try:
                yield actors
            finally:
                ending.set()
                patience = 0 if trio.current_effective_deadline() == -inf else drain
                try:
                    with trio.move_on_after(patience, shield=patience < inf):
                        await gone.wait()
                finally:
                    _cancel_rest(actors, drain)
    finally:
        for outbox in outboxes:
            outbox.close()


async def _hold(ending: trio.Event, gone: trio.Event, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """Shield the actors from what cancels the body: they are needed until the layers inside are gone."""
    try:
        async with trio.open_nursery() as actors:
            actors.cancel_scope.shield = True
            task_status.started(actors)
            await ending.wait()
    finally:
        gone.set()


def _cancel_rest(actors: trio.Nursery, drain: float) -> None:
    """Those that get no time are expected to be here still."""
    outside = trio.current_effective_deadline() == -inf
    late = f"not done {drain:g} s after the layer inside ended" if drain else "the layer inside ended"
    reason = "cancelled from outside" if outside else late
    names = ", ".join(sorted(task.name for task in actors.child_tasks))
    if names and (outside or drain):
        logger.warning("actors are cancelled (%s): %s", reason, names)
    actors.cancel_scope.cancel(reason=reason)
