"""The processes of a session that somebody else has started: found by descent and by session, and ended on command."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from actors.keeper_process.ancestry import descendants
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, describe, list_processes, read_process

__all__ = ["Tree"]

_PAUSE = 0.02
_CLEAN_LOOKS = 3  # a chain of forks can hide from one look, and from a second one
_DEADLINE = 5.0  # for what KILL does not end: it waits for a disk, or runs as another user
_Key = tuple[int, int]  # pid and start time


@dataclass(slots=True)
class Tree:
    """A leader, all that descends from it, and all that is in its session. It has no mark of ours."""

    leader: Process
    _known: dict[_Key, Process] = field(default_factory=dict)
    _described: dict[_Key, str] = field(default_factory=dict)

    async def end(self, merciless_at: Callable[[], float]) -> tuple[str, ...]:
        """TERM to all of it, and KILL from a moment of trio's clock on that may come nearer meanwhile.

        Return when nothing is left, with what was no leader as ``pid command``.
        """
        clean, told = 0, set[_Key]()
        while clean < _CLEAN_LOOKS and trio.current_time() < merciless_at() + _DEADLINE:
            living = await trio.to_thread.run_sync(self._look)
            clean = 0 if living else clean + 1
            merciless = trio.current_time() >= merciless_at()
            for process in living:
                if merciless or _key(process) not in told:
                    told.add(_key(process))
                    _signal(process, merciless=merciless)
            await trio.sleep(_PAUSE)
        leader = _key(self.leader)
        return tuple(text for key, text in self._described.items() if key != leader)

    def _look(self) -> list[Process]:
        """Who lives. What was once found belongs to it, whoever its parent is now."""
        roots = [self.leader, *self._known.values()]
        below = [process for root in roots if _is_there(root) for process in descendants(root.pid)]
        session = [each for each in list_processes() if each.session == self.leader.pid]
        for process in (self.leader, *below, *session):
            self._known.setdefault(_key(process), process)
        living = [process for process in self._known.values() if _is_there(process)]
        for process in living:
            self._described.setdefault(_key(process), describe(process))
        return living


def _key(process: Process) -> _Key:
    return process.pid, process.start_ticks


def _is_there(process: Process) -> bool:
    now = read_process(process.pid)
    return now is not None and now.start_ticks == process.start_ticks and now.alive


def _signal(process: Process, *, merciless: bool) -> None:
    try:
        for signo in [signal.SIGKILL] if merciless else [signal.SIGTERM, signal.SIGCONT]:
            send_signal(process, signo)  # a stopped process hears TERM only when it goes on
    except PermissionError:
        return  # a program that runs as another user is out of reach
