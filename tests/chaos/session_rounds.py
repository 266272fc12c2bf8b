"""One round of sessions: a run of them is struck at its gates, and then each end and each text is asked for."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from protocols.ids import WorkerId
from tests.chaos.session_scripts import SessionScript, Strike, write_session_script
from tests.opencode import OpenCode
from tests.proxy_thread import ProxyThread, proxy_in_thread
from tests.running import RunningPlan, resumed, running
from tests.scripted_model import ScriptedModel
from tests.session_checks import attempts_of, find_session_faults, texts_of
from tests.session_plans import attached, managed, session

__all__ = ["SessionRound"]

_PATIENCE = 100.0
_IMPATIENT = (sys.executable, str(Path(__file__).parents[1] / "impatient.py"))


@dataclass
class SessionRound:
    """``folder`` is empty, and keeps all that happens. ``server`` may be killed, and is there again at the end."""

    seed: int
    folder: Path
    server: OpenCode
    model: ScriptedModel
    story: list[str] = field(default_factory=list)
    """What was done, with the times."""

    def play(self) -> list[str]:
        """Return what is wrong; nothing of the round runs any more then, but the server."""
        self._script = script = write_session_script(self.seed)
        self._began = time.monotonic()
        self._tell(str(script))
        with ExitStack() as stack:
            self._proxy: ProxyThread | None = None
            if not script.managed:
                way = proxy_in_thread(self.server.port, script.spoilt, self.seed, script.lossy)
                self._proxy = stack.enter_context(way)
            return self._play(script, stack)

    def _play(self, script: SessionScript, stack: ExitStack) -> list[str]:
        plan, env = self._plan(script), {"SECRET": self.server.password}
        run = stack.enter_context(running(self.folder, *plan, options=("--durable",), env=env, before=_IMPATIENT))
        for number, strike in enumerate(script.strikes):
            self._wait_for_gate(run, script.gate(number), len(script.sessions) if strike.of_all else 1)
            time.sleep(strike.after)
            self._strike(run, strike, script.gate(number))
            if run.process.poll() is not None:
                self._tell("resume")
                run = stack.enter_context(resumed(self.folder, env=env, before=_IMPATIENT))
        code = run.process.wait(_PATIENCE)
        self._tell(f"exit code {code}")
        faults = [] if code == 0 else [f"exit code {code}: {run.stdout!r} {run.stderr}"]
        return [*faults, *find_session_faults(run, self.server), *_last_words(run, script, self.server)]

    def _plan(self, script: SessionScript) -> list[str]:
        defaults = '[defaults]\nretries = 5\nbackoff = "10ms"\n'
        home = Path(self.server.environment["HOME"])
        agent = managed(self.model, home) if self._proxy is None else attached(self._proxy.url)
        return [defaults, agent, *(session(each.name, *each.prompts) for each in script.sessions)]

    def _wait_for_gate(self, run: RunningPlan, gate: str, wanted: int) -> None:
        run.wait_until(lambda: self.model.arrived(gate) >= wanted, _PATIENCE)

    def _strike(self, run: RunningPlan, strike: Strike, gate: str) -> None:
        self._tell(strike.kind)
        if strike.opens == "before":
            self.model.open(gate)
        with ExitStack() as lasting:
            self._begin(run, strike, lasting)
            if strike.opens == "meanwhile":
                self.model.open(gate)
        self.model.open(gate)

    def _begin(self, run: RunningPlan, strike: Strike, lasting: ExitStack) -> None:
        """What is to be done when the strike is over, ``lasting`` does then."""
        lasting.callback(self._tell, "over")
        match strike.kind:
            case "cut" if self._proxy is not None:
                self._proxy.cut()
            case "hold" if self._proxy is not None:
                self._proxy.hold()
            case "away" if self._proxy is not None:
                self._proxy.leave()
                lasting.callback(self._proxy.come_back)
                lasting.callback(time.sleep, strike.lasts)
            case "freeze callboard":
                self._freeze(run.process.pid, strike, lasting)
            case "freeze server":
                for pid in self._servers(run):
                    self._freeze(pid, strike, lasting)
            case _:
                self._kill(run, strike, lasting)

    def _kill(self, run: RunningPlan, strike: Strike, lasting: ExitStack) -> None:
        if strike.kind in ("kill callboard", "kill both"):
            run.process.kill()
            run.process.wait()
        if strike.kind not in ("kill server", "kill both"):
            return
        if self._proxy is None:
            for pid in self._servers(run):
                os.kill(pid, signal.SIGKILL)
            return
        self._proxy.leave()
        lasting.callback(self._proxy.come_back)
        self.server.kill()
        lasting.callback(self.server.start)

    def _freeze(self, pid: int, strike: Strike, lasting: ExitStack) -> None:
        os.kill(pid, signal.SIGSTOP)
        lasting.callback(os.kill, pid, signal.SIGCONT)
        lasting.callback(time.sleep, strike.lasts)

    def _servers(self, run: RunningPlan) -> list[int]:
        """Of the run, one or none; or that which is there."""
        if self._proxy is not None:
            return [self.server.process.pid]
        return [process.pid for process in run.marked() if _is_server(process.pid)]

    def _tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:7.3f} s  {what}")


def _is_server(pid: int) -> bool:
    try:
        return b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _last_words(run: RunningPlan, script: SessionScript, server: OpenCode) -> Iterator[str]:
    """The last attempt of each task said all that its script says, and each text stands in its spool once."""
    attempts = {attempt.started.worker: attempt for attempt in attempts_of(run)}
    for each in script.sessions:
        attempt = attempts.get(WorkerId(each.name))
        if attempt is None:
            yield f"{each.name} never had a session"
            continue
        said = texts_of(server.ask(f"/session/{attempt.session}/message"))
        if tuple(said) != each.texts:
            yield f"{attempt.name}: it said {said} and not {each.texts}"
        if [event.outcome for event in attempt.ends] != ["completed"] * len(each.prompts):
            yield f"{attempt.name}: its prompts ended as {attempt.ends}"
        spool = attempt.spool
        if " again]" not in spool:
            yield from (
                f"{attempt.name}: {text[:80]!r} stands {spool.count(text)} times in its spool"
                for text in each.texts
                if spool.count(text) != 1
            )
