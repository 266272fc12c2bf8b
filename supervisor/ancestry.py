"""What an instance has to do with the callboard that started it, while it runs."""

import os
import signal
from pathlib import Path

from actors.greetings import Greeter
from protocols.control import HelloParams
from protocols.ids import RunId
from protocols.instances import Handover
from protocols.layout import FleetFolder
from supervisor.children import Child
from supervisor.locks import is_locked

__all__ = ["end_if_orphaned", "greeter_child"]


def end_if_orphaned(handover: Handover) -> None:
    """Where the callboard that started us is gone, end as if we were killed too: the run has no end, and whoever goes
    on with that one goes on with ours. Our keeper ends our workers."""
    if not is_locked(FleetFolder(Path(handover.parent)).lock):
        os.kill(os.getpid(), signal.SIGKILL)


def greeter_child(handover: Handover, run: RunId) -> Child:
    """Who says up there that we are here. Without it our records come up at our end."""
    greeter = Greeter(parent=FleetFolder(Path(handover.parent)), params=HelloParams(handover.token, run))
    return Child("greeter", greeter.run, when_exhausted="park")
