"""``callboard up``: the supervisor that stays, one for each state folder."""

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from actors.journal_file import last_seq, read_records
from protocols.errors import InputError
from protocols.layout import StateFolder
from supervisor.detaching import Announcer
from supervisor.fleets import Fleet, create_fleet, find_fleet
from supervisor.locks import hold_descriptor, lock_owner
from supervisor.output import Output
from supervisor.port_sockets import open_sockets
from supervisor.resuming import hold_run, take_up
from supervisor.runner import Course, End, prepare_run
from supervisor.service_log import service_log
from supervisor.serving import Serve
from supervisor.settings import Settings
from supervisor.state import open_state, state_error
from supervisor.submissions import standing_plan
from supervisor.succession import Inheritance, become_anew, take_inheritance
from supervisor.sweep import conclude_all, find_end
from supervisor.token_file import load_token
from supervisor.up_port import UpPort
from supervisor.version import VERSION
from supervisor.views import read_view

__all__ = ["run_up"]

logger = logging.getLogger(__name__)

_INTERRUPTED = 130


def run_up(settings: Settings, *, output: Output) -> int:
    """Supervise until somebody wants the end, and return the exit code: 0 for an end in order.

    Raise InputError or StateError before anything has started.
    """
    state = open_state(settings.state)
    folder = StateFolder(state)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go
    announcer, left = Announcer(), take_inheritance()
    detached = announcer.detached or (left is not None and left.detached)
    lock, listeners = (None, ()) if left is None else (left.lock, left.listeners)
    log = (
        settings.log if settings.log.file or not detached else msgspec.structs.replace(settings.log, file=folder.up_log)
    )
    with _hold(state, lock) as lock, open_sockets(folder, settings.port, listeners) as sockets:
        token = load_token(folder.token)
        port = UpPort(state=folder, settings=settings.port, sockets=sockets, token=token, ready=announcer.announce)
        with service_log(log):
            end = _supervise(state, settings, output, port.child)
        if end.left is not None and end.left.restart:
            fds = tuple(each.fileno() for each in sockets.bound)
            become_anew(Inheritance(lock=lock, listeners=fds, detached=detached))
    return _INTERRUPTED if end.haste else 0


def _supervise(state: Path, settings: Settings, output: Output, serve: Serve) -> End:
    """Go on with the run that has no end, or begin one. One that was being stopped has to come to its end first."""
    left = _find_standing(conclude_all(state))
    if left is not None and read_view(left.folder.journal).stopping is not None:
        end, wanted = _end_stopped(left, settings, output)
        if wanted:
            return end
        left = None
    if left is None:
        course, end = _begin(state, settings, output, serve)
    else:
        with hold_run(left) as fleet:
            course, end = take_up(fleet, settings, output=output, serve=serve)
    if end.left is None or not end.left.restart:
        course.tell(find_fleet(state, course.fleet.identity.run), end)
    return end


def _end_stopped(left: Fleet, settings: Settings, output: Output) -> tuple[End, bool]:
    """The supervisor was killed while it stopped its workers. Return whether somebody wanted our end too meanwhile."""
    journal = left.folder.journal
    logger.info("run %s was being stopped; it comes to its end first", left.name)
    before = last_seq(journal)
    with hold_run(left) as fleet:
        course, end = take_up(fleet, settings, output=output)
    course.tell(find_fleet(settings.state, left.name), end)
    said = list(read_records(journal, before, types=("run.stopping",)))  # the first one is what we repeat ourselves
    return end, bool(end.haste) or len(said) > 1


@contextmanager
def _hold(state: Path, inherited: int | None) -> Iterator[int]:
    """The lock of the state folder, by its descriptor. Raise InputError where another one has it."""
    path = StateFolder(state).up_lock
    with ExitStack() as stack:
        try:
            held = stack.enter_context(hold_descriptor(path, inherited))
        except OSError as error:
            raise state_error(path, error) from error
        if held is None:
            pid = lock_owner(path)
            raise InputError(f"{state}: callboard up runs here already, pid {pid}; choose another state folder")
        yield held


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
