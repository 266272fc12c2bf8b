"""``callboard up``: the supervisor that stays, one for each state folder."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from protocols.errors import InputError
from protocols.layout import StateFolder
from supervisor.fleets import Fleet, create_fleet, find_fleet
from supervisor.locks import hold_lock, lock_owner
from supervisor.output import Output
from supervisor.port_sockets import open_sockets
from supervisor.resuming import hold_run, take_up
from supervisor.runner import Course, End, prepare_run
from supervisor.serving import Serve
from supervisor.settings import Settings
from supervisor.state import open_state, state_error
from supervisor.submissions import standing_plan
from supervisor.sweep import conclude_all, find_end
from supervisor.token_file import load_token
from supervisor.up_port import UpPort
from supervisor.version import VERSION

__all__ = ["run_up"]

_INTERRUPTED = 130


def run_up(settings: Settings, *, output: Output) -> int:
    """Supervise until somebody wants the end, and return the exit code: 0 for an end in order.

    Raise InputError or StateError before anything has started.
    """
    state = open_state(settings.state)
    folder = StateFolder(state)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go
    with _hold(state), open_sockets(folder, settings.port) as sockets:
        token = load_token(folder.token)
        serve = UpPort(state=folder, settings=settings.port, sockets=sockets, token=token).child
        left = _find_standing(conclude_all(state))
        if left is None:
            course, end = _begin(state, settings, output, serve)
        else:
            with hold_run(left) as fleet:
                course, end = take_up(fleet, settings, output=output, serve=serve)
        course.tell(find_fleet(state, course.fleet.identity.run), end)
    return _INTERRUPTED if end.haste else 0


@contextmanager
def _hold(state: Path) -> Iterator[None]:
    """The lock of the state folder. Raise InputError where another one has it."""
    path = StateFolder(state).up_lock
    with ExitStack() as stack:
        try:
            held = stack.enter_context(hold_lock(path))
        except OSError as error:
            raise state_error(path, error) from error
        if not held:
            pid = lock_owner(path)
            raise InputError(f"{state}: callboard up runs here already, pid {pid}; choose another state folder")
        yield


def _find_standing(fleets: list[Fleet]) -> Fleet | None:
    """The latest run of a ``callboard up`` that has no end. Earlier ones cannot be without one: they hold the lock."""
    for fleet in fleets:
        if fleet.identity is not None and fleet.identity.standing:
            return fleet if find_end(fleet) is None else None
    return None


def _begin(state: Path, settings: Settings, output: Output, serve: Serve) -> tuple[Course, End]:
    loaded = standing_plan(settings.up.concurrency, settings.stop.grace)
    here = str(Path.cwd())
    with create_fleet(state, plan="callboard up", cwd=here, version=VERSION, durable="all", standing=True) as fleet:
        prepare_run(fleet.folder, loaded)
        course = Course(fleet, loaded, settings, output, show_output=False, serve=serve)
        return course, course.run()
