"""All attempts of one keeper: starts them, sees them end, and leaves nothing of them behind."""

import os
import time
from collections import deque
from collections.abc import Callable
from math import inf

from actors.keeper_process.attempt import Attempt, Exit, signal_name
from actors.keeper_process.census import Census
from actors.keeper_process.copier import Blocked, Copier, Eof, Resumed
from actors.keeper_process.ladder import AFTER_LEADER, Order, Phase
from actors.keeper_process.launch import Launched, launch, take_over
from actors.keeper_process.look import Look
from actors.keeper_process.loop import Loop, Timers, boottime
from actors.keeper_process.procfs import Process
from actors.keeper_process.requests import Adopt, Reaped, Spawn
from actors.keeper_process.rest import Rest
from actors.keeper_process.signals import kill, terminate
from actors.keeper_process.spawn import FileLimit
from actors.keeper_process.watchdog import pause_before_count
from actors.keeper_process.worker_limits import Limits

__all__ = ["Fleet"]

_BURST = 16  # looks in a row while new processes keep coming: a chain of forks is outrun, not waited for


class Fleet:
    """Belongs to one thread. Call `settle` after each round of the loop; ``tell`` gets the reports."""

    def __init__(self, fleet: str, loop: Loop, tell: Callable[[dict[str, object]], None]) -> None:
        self.attempts: dict[str, Attempt] = {}
        """All that are not forgotten."""
        self.supervisor: int | None = None
        """Its pid while it is connected."""
        self.rest = Rest(tell)
        self._fleet = fleet
        self._loop = loop
        self._tell = tell
        self._living: dict[str, Attempt] = {}
        self._leaders: dict[int, Attempt] = {}
        self._pressing: dict[str, Attempt] = {}
        self._orphaned_hosts: list[Attempt] = []
        self._timers = Timers()
        self._next_count = inf
        self._limit = FileLimit()
        self._census = Census(fleet)
        self._events: deque[Eof | Blocked | Resumed] = deque()
        self._copier = Copier(self._copier_reports)
        self._copier.start()

    @property
    def living(self) -> bool:
        """An attempt has not ended."""
        return bool(self._living)

    @property
    def next_moment(self) -> float:
        """When `settle` is wanted although nothing happens."""
        return -inf if self._pressing else min(self._timers.next(), self._next_count)

    def start(self, request: Spawn) -> Launched:
        """Raise `StartError`."""
        launched = launch(request, self._limit, boottime())
        self._leaders[launched.attempt.pid] = launched.attempt
        return self._register(launched)

    def adopt(self, request: Adopt, fds: list[int]) -> Launched:
        """Raise `StartError`. ``fds`` are ours in any case."""
        launched = self._register(take_over(request, fds, boottime()))
        attempt = launched.attempt
        if attempt.pidfd is not None:
            self._loop.watch(attempt.pidfd, lambda: self._adopted_is_gone(attempt))
        return launched

    def reaped(self, attempt: Attempt, request: Reaped) -> None:
        """How an adopted leader ended. Said again it changes nothing."""
        if attempt.adopted and attempt.exit is None:
            self._adopted_is_gone(attempt)
            name = None if request.signal is None else signal_name(request.signal)
            self._record_exit(attempt, Exit(request.code, name, request.at))
            self._tell(attempt.exited_report())

    def stop(self, attempt: Attempt, grace: float, reason: str, detail: str = "") -> None:
        """Begin the ladder, or hurry it."""
        self.reap()  # who has ended by itself was not stopped
        if attempt.id in self._living and attempt.ladder.stop(boottime(), grace, reason):
            attempt.detail = detail if attempt.ladder.reason == reason else attempt.detail
            report = {"type": "stopping", "attempt": attempt.id, "reason": reason, "grace": grace}
            self._tell({**report, "detail": detail})
            self._press(attempt)

    def extend(self, attempt: Attempt, left: float) -> None:
        """Its timeout is that far from now."""
        if attempt.id in self._living:
            attempt.ladder.extend(boottime(), left)
            self._press(attempt)

    def stop_all(self) -> None:
        """At once, without grace."""
        for attempt in list(self._living.values()):
            self.stop(attempt, 0.0, "stop")

    def orphan(self) -> None:
        """The supervisor is gone. What is attached goes too, and unless others stay, what nobody can place."""
        self.supervisor = None
        for attempt in list(self._living.values()):
            self._press(attempt)
            if attempt.attached and not attempt.host:
                self.stop(attempt, AFTER_LEADER, "orphaned")
        self._orphaned_hosts = [attempt for attempt in self._living.values() if attempt.attached and attempt.host]
        self._end_hosts()
        if all(attempt.attached for attempt in self._living.values()):
            self.rest.terminate()

    def _end_hosts(self) -> None:
        """Once nobody is left who may live in one."""
        if self._orphaned_hosts and not any(attempt.ladder.reason == "orphaned" for attempt in self._living.values()):
            hosts, self._orphaned_hosts = self._orphaned_hosts, []
            for attempt in hosts:
                self.stop(attempt, AFTER_LEADER, "orphaned")

    def forget(self, attempt: Attempt) -> None:
        """One that has not ended is remembered."""
        if attempt.ended_at is not None:
            del self.attempts[attempt.id]

    def settle(self) -> None:
        """Do all that is due, with one count for all that ends in this moment."""
        self._take_events()
        self.reap()
        now = boottime()
        for name in self._timers.take_due(now):
            self._press(self._living[name])
        pressing, self._pressing = list(self._pressing.values()), {}
        look = self._look()
        if now >= self._next_count:
            look.take()
            self._watch(look)
        killing = [attempt for attempt in pressing if self._advance(attempt, now, look)]
        if look.count is not None:
            self.rest.note(look.count.unattributed)
            self._next_count = now + pause_before_count(self._limits(), boottime() - now)
        if killing:
            self._kill(killing, look)
        for attempt in pressing:
            self._timers.set(attempt.id, attempt.due(now, alone=self.supervisor is None))

    def reap(self) -> None:
        """Take notice of all children that ended: those that came to us from a worker's tree too."""
        orphans = False
        while (pid := self._next_exit()) is not None:
            os.waitpid(pid, 0)
            attempt = self._leaders.pop(pid, None)
            if attempt is None:
                orphans = True
                continue
            self._census.leader_reaped(attempt.id)
            self._tell(attempt.exited_report())
        if orphans:
            for attempt in self._living.values():
                if attempt.ladder.leader_gone:
                    self._press(attempt)

    def close(self) -> None:
        self._copier.close()
        self._limit.low.close()

    def _register(self, launched: Launched) -> Launched:
        attempt = launched.attempt
        self.attempts[attempt.id] = self._living[attempt.id] = attempt
        self._census.add(attempt.id, attempt.pid, attempt.start_ticks, launched.outlets)
        for stream, ends, spool in launched.streams:
            self._copier.add((attempt.id, stream), ends, spool, launched.allowance)
        attempt.record()
        self._timers.set(attempt.id, attempt.ladder.due)
        self._next_count = min(self._next_count, boottime() + pause_before_count(self._limits()))
        return launched

    def _next_exit(self) -> int | None:
        """The pid of a child that ended. A leader's exit is on disk before it is reaped."""
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        if info is None:
            return None
        attempt = self._leaders.get(info.si_pid)
        if attempt is not None:
            self._record_exit(attempt, Exit.of(info))
        return info.si_pid

    def _record_exit(self, attempt: Attempt, found: Exit) -> None:
        attempt.leader_exited(found)
        attempt.ladder.exited(boottime())
        attempt.record()
        self._press(attempt)

    def _adopted_is_gone(self, attempt: Attempt) -> None:
        if attempt.pidfd is None:
            return
        self._loop.forget(attempt.pidfd)
        attempt.close_pidfd()
        attempt.close_slave()
        attempt.gone_at = boottime()
        attempt.ladder.exited(attempt.gone_at)
        self._census.leader_reaped(attempt.id)
        self._press(attempt)

    def _press(self, attempt: Attempt) -> None:
        self._pressing[attempt.id] = attempt

    def _look(self) -> Look:
        adopted = any(attempt.adopted for attempt in self._living.values())
        roots = [os.getpid()]
        if adopted and self.supervisor is not None:
            roots.append(self.supervisor)
        return Look(self._census, roots, self._fleet)

    def _watch(self, look: Look) -> None:
        """End those that use too much, without grace where that is memory: nobody knows how long there is some."""
        for attempt in [attempt for attempt in self._living.values() if attempt.limits.watched]:
            if (breach := attempt.watchdog.look(look.members(attempt), look.dead(attempt))) is not None:
                grace = 0.0 if breach.reason == "memory" else attempt.grace
                self.stop(attempt, grace, breach.reason, breach.detail)

    def _limits(self) -> list[Limits]:
        return [attempt.limits for attempt in self._living.values()]

    def _advance(self, attempt: Attempt, now: float, look: Look) -> bool:
        """One step of its ladder. True: it is time for KILL."""
        if attempt.ended_at is not None:
            return False
        if now >= attempt.last_word_at(alone=self.supervisor is None):
            self._record_exit(attempt, Exit(None, None, time.time()))
            self._tell(attempt.exited_report())
        ladder = attempt.ladder
        attempt.measure()
        looking = ladder.wants_look(now, attempt.incomplete)
        if not looking and ladder.phase is not Phase.CLOSING:
            return False
        began = ladder.phase is Phase.LIVING
        order = ladder.advance(now, left=looking and look.left(attempt), open_streams=attempt.incomplete)
        if began and ladder.reason == "timeout":
            self._tell({"type": "stopping", "attempt": attempt.id, "reason": "timeout", "grace": attempt.grace})
        self._follow(order, attempt, look)
        return order is Order.KILL

    def _follow(self, order: Order | None, attempt: Attempt, look: Look) -> None:
        if order is Order.TERM:
            terminate(attempt, look.members(attempt))
        elif order is Order.FINISH:
            attempt.measure(last=True)
            for stream in attempt.ends:
                self._copier.finish((attempt.id, stream))
        elif order is Order.END:
            self._end(attempt)

    def _kill(self, killing: list[Attempt], look: Look) -> None:
        """Kill what was found, and look again at once as long as there is something new."""
        known: set[tuple[int, int]] = set()
        for _ in range(_BURST):
            found: list[Process] = []
            for attempt in killing:
                members = look.members(attempt)
                kill(attempt, members)
                found += members
            keys = {(process.pid, process.start_ticks) for process in found}
            if keys <= known:
                return
            known |= keys
            self.reap()
            look = self._look()

    def _end(self, attempt: Attempt) -> None:
        attempt.measure(last=True)
        attempt.ended_at = time.time()
        attempt.record()
        self._census.remove(attempt.id)
        del self._living[attempt.id]
        attempt.close()
        self._tell(attempt.ended_report())
        self._end_hosts()

    def _copier_reports(self, event: Eof | Blocked | Resumed) -> None:
        """Runs in the copier's thread."""
        self._events.append(event)
        self._loop.wake()

    def _take_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            attempt = self.attempts[event.key[0]]
            if (report := attempt.copied(event)) is not None:
                self._tell(report)
            if isinstance(event, Eof):
                self._press(attempt)
            if isinstance(event, Blocked) and not event.retried and attempt.limits.fails_at_spool_limit:
                self.stop(attempt, attempt.grace, "spool-limit", event.error)
