"""One round: a plan of bad workers is run, who looks after them is struck, and then everything is asked for."""

import random
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio

from actors.journal_file import last_seq
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, read_process
from protocols.control import StopParams
from protocols.errors import UnreachableError
from protocols.events import RunResumed, RunStarted
from protocols.layout import FleetFolder
from supervisor.fleet_client import open_fleet_client
from supervisor.fleets import Fleet, find_fleets
from supervisor.locks import lock_owner
from supervisor.sweep import find_end
from tests.chaos.checks import Losses, find_faults
from tests.chaos.ledgers import living
from tests.chaos.scripts import Script, Strike, write_script
from tests.keeper_client import wait_until_gone
from tests.running import RunningPlan, callboard, resumed, running

__all__ = ["Round"]

_PATIENCE = 120.0  # a machine may be busy beyond measure; whoever needs that long on another one hangs
_PAUSE = 0.005
_REFUSED = 2
_INTERRUPTED = 130
_CODES = frozenset((0, 1, _INTERRUPTED, -signal.SIGKILL))
"""Who is killed when all is done, but for its report, has ended as well as any other."""


@dataclass
class Round:
    """``folder`` is empty, and keeps all that happens."""

    seed: int
    folder: Path
    story: list[str] = field(default_factory=list)
    """What was done, with the times."""

    def play(self) -> list[str]:
        """Return what is wrong; nothing of the round runs any more then."""
        self._ledgers = self.folder / "ledgers"
        self._ledgers.mkdir()
        self._script = write_script(self.seed, self._ledgers)
        self._chance = random.Random(f"aims of {self.seed}")
        self._losses = Losses()
        self._began = time.monotonic()
        self._tell(str(self._script))
        with ExitStack() as runs:
            return self._play(self._script, runs)

    def _play(self, script: Script, runs: ExitStack) -> list[str]:
        options = ("--durable",) if script.durable else ()
        run = runs.enter_context(running(self.folder, *script.plan, settings=script.settings, options=options))
        for strike in script.strikes:
            if not strike.early:
                self._wait_for_worker(run)
            time.sleep(strike.after)
            self._strike(run, strike)
            if not _lives(run) and self._is_open():
                self._note_death()
                if script.after != "resume":
                    break
                self._tell("resume")
                run = runs.enter_context(resumed(self.folder))
        code = run.process.wait(_PATIENCE)
        self._tell(f"exit code {code}")
        if self._is_open() and self._is_left(run, code):
            code = self._go_on(script, runs)
        fleets = find_fleets(self.folder / ".callboard")
        faults = [] if code in _CODES or not fleets else [f"exit code {code}: {run.stderr}"]
        for fleet in fleets:
            faults += find_faults(fleet, self._ledgers, self._losses)
        return faults

    def _go_on(self, script: Script, runs: ExitStack) -> int:
        """After the death of the last supervisor."""
        self._note_death()
        self._tell(script.after)
        match script.after:
            case "resume":
                return runs.enter_context(resumed(self.folder)).process.wait(_PATIENCE)
            case "look":
                callboard(self.folder, "runs", patience=_PATIENCE)
            case "stop":
                callboard(self.folder, "stop", patience=_PATIENCE)
        return 0

    def _strike(self, run: RunningPlan, strike: Strike) -> None:
        self._tell(strike.kind)
        fleet = self._fleet()
        match strike.kind:
            case "kill supervisor":
                self._kill_supervisor(run)
            case "kill keeper":
                self._kill_keeper(fleet)
            case "kill both":
                self._kill_both(run, fleet)
            case "freeze supervisor":
                self._freeze(read_process(run.process.pid), strike.lasts)
            case "freeze keeper":
                self._freeze(_keeper(fleet), strike.lasts)
            case "interrupt":
                run.signal(signal.SIGINT)
            case "stop" | "force" if fleet is not None:
                with suppress(UnreachableError):  # it is dead, or not yet or no longer listening
                    trio.run(_stop, fleet, 0.0 if strike.kind == "force" else None)
            case "kill worker":
                self._signal_worker(signal.SIGKILL)
            case "terminate worker":
                self._signal_worker(signal.SIGTERM)
            case "freeze worker":
                self._signal_worker(signal.SIGSTOP)
            case _:
                pass

    def _kill_supervisor(self, run: RunningPlan) -> None:
        run.process.kill()
        run.process.wait()

    def _kill_keeper(self, fleet: Fleet | None) -> None:
        keeper = _keeper(fleet)
        if keeper is not None and send_signal(keeper, signal.SIGKILL):
            wait_until_gone(keeper.pid)

    def _kill_both(self, run: RunningPlan, fleet: Fleet | None) -> None:
        if self._chance.random() < 0.5:
            self._kill_supervisor(run)
            self._kill_keeper(fleet)
            return
        run.signal(signal.SIGSTOP)  # else it would start another keeper
        self._kill_keeper(fleet)
        self._kill_supervisor(run)

    def _freeze(self, process: Process | None, seconds: float) -> None:
        if process is not None and send_signal(process, signal.SIGSTOP):
            time.sleep(seconds)
            send_signal(process, signal.SIGCONT)

    def _signal_worker(self, number: signal.Signals) -> None:
        found = living(self._ledgers)
        if found:
            send_signal(self._chance.choice(found), number)

    def _note_death(self) -> None:
        """Of the supervisor. Where no keeper lives either, nobody reads what workers write."""
        fleet = self._fleet()
        if fleet is not None and not fleet.keeper_lives() and fleet.folder.journal.exists():
            self._losses.note(last_seq(fleet.folder.journal))

    def _is_open(self) -> bool:
        """There is a run, and its end is not recorded."""
        fleet = self._fleet()
        return fleet is not None and find_end(fleet) is None

    def _is_left(self, run: RunningPlan, code: int) -> bool:
        """Its last supervisor has died, or there never was one."""
        if code == _INTERRUPTED:
            return not self._has_begun(run)
        return code == -signal.SIGKILL or _found_keeper_frozen(run, code)

    def _has_begun(self, run: RunningPlan) -> bool:
        """It is, or was, the supervisor; an interrupt may come before that."""
        begun = (record.event for record in run.records())
        return any(isinstance(each, RunStarted | RunResumed) and each.pid == run.process.pid for each in begun)

    def _wait_for_worker(self, run: RunningPlan) -> None:
        """Until one lives that has noted itself, or the run is over."""
        deadline = time.monotonic() + _PATIENCE
        while not living(self._ledgers) and _lives(run) and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _fleet(self) -> Fleet | None:
        return next(iter(find_fleets(self.folder / ".callboard")), None)

    def _tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:7.3f} s  {what}")


async def _stop(fleet: Fleet, grace: float | None) -> None:
    """What `callboard stop` says: the command itself takes longer to start than most rounds take."""
    async with open_fleet_client(fleet.folder.control_socket) as client:
        await client.stop(StopParams(grace=grace))


def _found_keeper_frozen(run: RunningPlan, code: int) -> bool:
    """It was to go on just then, and has refused that."""
    return code == _REFUSED and "its keeper (pid" in run.stderr and "is stopped" in run.stderr


def _lives(run: RunningPlan) -> bool:
    return run.process.poll() is None


def _keeper(fleet: Fleet | None) -> Process | None:
    """The one that holds the lock of this fleet."""
    if fleet is None or not fleet.keeper_lives():
        return None
    pid = lock_owner(FleetFolder(fleet.folder.root).keeper_lock)
    return None if pid is None else read_process(pid)
