"""What an instance has to do with the callboard that started it, while it runs."""

import os
import signal
from pathlib import Path

import trio

from actors.greetings import Greeter
from protocols.control import HelloParams
from protocols.ids import RunId
from protocols.instances import Handover
from protocols.layout import FleetFolder
from supervisor.children import Child
from supervisor.locks import is_locked

__all__ = ["end_if_orphaned", "greeter_child"]


# Its keeper tells us before the kernel has let go of its lock, and kills us half a second later.
_DYING = 0.4
_PAUSE = 0.02


async def end_if_orphaned(handover: Handover | None) -> None:
    """Where the callboard that started us is gone, end as if we were killed too: the run has no end, and whoever goes
    on with that one goes on with ours. Our keeper ends our workers. Return after a while where it lives; at once where
    we do not end with it."""
    if handover is None or handover.durable:
        return
    lock = FleetFolder(Path(handover.parent)).lock
    with trio.move_on_after(_DYING):
        while is_locked(lock):  # noqa: ASYNC110 - of another process
            await trio.sleep(_PAUSE)
        os.kill(os.getpid(), signal.SIGKILL)


def greeter_child(handover: Handover, run: RunId) -> Child:
    """Who says up there that we are here. Without it our records come up at our end."""
    greeter = Greeter(parent=FleetFolder(Path(handover.parent)), params=HelloParams(handover.token, run))
    return Child("greeter", greeter.run, when_exhausted="park")
