"""What signals ask of a run: the first stops it gracefully, the second by force, the third leaves at once."""

import math
import signal
from collections.abc import Awaitable, Callable

import trio

from actors.orders import StopRun

__all__ = ["obey_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FORCED_WITHIN = 10.0  # after KILL to everything; what then still waits (a full disk, a reader of ours) is left behind


async def obey_signals(
    stop: Callable[[StopRun], Awaitable[None]],
    leave: Callable[[str], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Turn signals into stops, and into ``leave(reason)`` when stopping takes too long. Runs until cancelled."""
    with trio.open_signal_receiver(*_heard()) as signals:
        task_status.started()
        urgency, patience = 0, math.inf
        while True:
            with trio.move_on_after(patience) as waiting:
                name = signal.Signals(await anext(signals)).name
            if waiting.cancelled_caught:
                return leave(f"not ended {_FORCED_WITHIN:g} s after the forced stop")
            urgency += 1
            if urgency == 1:
                await stop(StopRun(name, None))
            elif urgency == 2:
                await stop(StopRun(f"{name} again", 0.0))
                patience = _FORCED_WITHIN
            else:
                return leave(f"{name} for the third time")


def _heard() -> list[signal.Signals]:
    """All but those that whoever started us has us ignore: ``nohup`` does, and shells for background jobs."""
    return [each for each in _SIGNALS if each == signal.SIGTERM or signal.getsignal(each) is not signal.SIG_IGN]
