"""One attempt that is somebody else's session of tmux: found, read, and let go at its end, or ended if that is said."""

import fnmatch
from dataclasses import dataclass, field
from functools import partial
from math import inf

import msgspec
import trio

from actors.orders import Answer, Ask, AskSpawn
from actors.replies import reply
from actors.tmux_client import run_tmux
from actors.tmux_keys import answer_keys
from actors.tmux_pane import AdoptedPane, open_pane, write_status
from actors.tmux_process import Server
from actors.tmux_reader import OPTION, PaneReader
from actors.tmux_worker import open_spool, spawn_error, tell
from protocols.errors import KeeperError, SpawnError, TmuxError
from protocols.keeper import Ended, Stop, Stopping
from protocols.keeper_inputs import Interrupt, Write
from protocols.kinds import EndReason
from protocols.pane import Unclaimed
from protocols.plan import Tmux
from protocols.wording import quote

__all__ = ["TmuxAdoption"]

_LOOK_EVERY = 0.5
_NOTICE_EVERY = 2.0  # for sessions that match too, and belong to no task
_SHOWN = 8  # sessions that an error names


@dataclass(slots=True, kw_only=True)
class TmuxAdoption:
    """Serve one `AskSpawn` of a task that adopts. What is asked of it later comes to `take`."""

    ask: AskSpawn
    tmux: Tmux
    server: Server
    taken: set[tuple[str, str]]
    """Servers and sessions that other attempts of this fleet have: one attempt has each."""
    told: set[tuple[str, str]]
    """Those of which it was told that nobody has them."""
    limiter: trio.CapacityLimiter
    answered: Answer | None = None
    _reader: PaneReader | None = None
    _stop: Stop | None = None
    _kill_at: float = inf
    """On trio's clock, once there is a stop."""
    _stopped: trio.Event = field(default_factory=trio.Event)

    async def run(self, _servers: trio.Nursery) -> None:
        """Answer, and report until the end."""
        try:
            await self._serve(self.server)
        except* (TmuxError, KeeperError) as group:
            if self.answered is not None:
                raise
            self.answered = reply(self.ask.answer, Answer(error=spawn_error(group)))

    async def take(self, ask: Ask) -> None:
        """A request for this attempt that came after its spawn. The size of a pane is its owner's."""
        match ask.request:
            case Stop() as stop:
                self._stop = self._stop or stop
                self._kill_at = min(self._kill_at, trio.current_time() + stop.grace)
                self._stopped.set()
            case Write() as write:
                await answer_keys(ask, write, self._reader)
            case Interrupt() as interrupt:
                await answer_keys(ask, Write(attempt=interrupt.attempt, data="\x03"), self._reader)
            case _:
                pass

    async def _serve(self, server: Server) -> None:
        async with open_spool(self.ask, self.limiter) as spool:
            session = await self._find(server)
            try:
                async with trio.open_nursery() as nursery:
                    reader = self._reader = PaneReader(server=server, spool=spool, tell=partial(tell, self.ask))
                    ended = await self._live(server, session, reader, nursery)
                    nursery.cancel_scope.cancel(reason="the session is let go")
            finally:
                self.taken.discard((server.flags[1], session))
        await self.ask.reports.send(ended)

    async def _find(self, server: Server) -> str:
        """The first session that matches and is nobody's yet, as soon as there is one. Raise SpawnError."""
        until = trio.current_time() + self.tmux.appear_within
        while True:
            try:
                found, missing = await self._look(server)
            except TmuxError as error:
                if self.ask.request.resume:
                    raise
                found, missing = None, f"{error}; start it, or correct tmux.socket"
            if found is not None:
                self.taken.add((server.flags[1], found))
                return found
            if trio.current_time() >= until:
                raise SpawnError(missing)
            with trio.move_on_after(min(_LOOK_EVERY, until - trio.current_time())):
                await self._stopped.wait()
                raise SpawnError("stopped before there was such a session", "stopped")

    async def _look(self, server: Server) -> tuple[str | None, str]:
        """The id of a session, or what is wrong. Raise TmuxError."""
        if self.ask.request.resume:
            return await self._find_again(server), ""
        names = await _sessions(server)
        for session, name in names.items():
            if self._matches(name) and (server.flags[1], session) not in self.taken:
                return session, ""
        there = ", ".join(list(names.values())[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        what = f"no session {quote(self.tmux.adopt)} that is free on the {server}, which has {there}"
        return None, f"{what}; start one, correct tmux.adopt, or raise tmux.appear_within"

    async def _notice(self, server: Server) -> None:
        """Tell of sessions that nobody takes although they are there for a while."""
        before: set[str] = set()
        while True:
            await trio.sleep(_NOTICE_EVERY)
            free = await self._free(server)
            for session in free.keys() & before:
                self.told.add((server.flags[1], session))
                socket, attempt = self.tmux.socket, self.ask.request.attempt
                await tell(self.ask, Unclaimed(attempt=attempt, socket=socket, name=free[session]))
            before = set(free)

    async def _free(self, server: Server) -> dict[str, str]:
        """Sessions that match, and that nobody has or was told of, with their names."""
        try:
            names = await _sessions(server)
        except TmuxError:  # the reader says what is wrong
            return {}
        known = {session for socket, session in self.taken | self.told if socket == server.flags[1]}
        return {each: name for each, name in names.items() if each not in known and self._matches(name)}

    def _matches(self, name: str) -> bool:
        return fnmatch.fnmatchcase(name, self.tmux.adopt)

    async def _find_again(self, server: Server) -> str:
        """The session that the attempt had when its callboard was killed. Raise SpawnError."""
        attempt = self.ask.request.attempt
        for line in await run_tmux(server, "list-panes", "-a", "-F", f"#{{session_id}} #{{{OPTION}}}"):
            session, _, owner = line.partition(" ")
            if owner == attempt:
                return session
        raise SpawnError(f"{server}: has no pane of attempt {attempt}", "unknown-attempt")

    async def _live(self, server: Server, session: str, reader: PaneReader, nursery: trio.Nursery) -> Ended:
        async with open_pane(server, session, self.ask, reader, nursery) as pane:
            await self._record(pane)
            self.answered = reply(self.ask.answer, Answer(msgspec.json.encode(pane.spawned)))
            if self.ask.request.resume:
                await reader.miss("nobody read its pane while callboard was gone")
            await reader.tell_place("control")
            nursery.start_soon(self._notice, server)
            how = await pane.wait(self._stopped)
            reason = how if self._stop is None or how != "stop" else self._stop.reason
            if how != "exit":
                await self._begin_end(reason)
            ended = await pane.conclude(how, reason, own=self.tmux.own, kill_at=lambda: self._kill_at)
            if self._stop is not None and reason == self._stop.reason:
                ended = msgspec.structs.replace(ended, detail=ended.detail or self._stop.detail)
            await self._record(pane, ended)
            return ended

    async def _record(self, pane: AdoptedPane, ended: Ended | None = None) -> None:
        await trio.to_thread.run_sync(write_status, self.ask, pane, ended, limiter=self.limiter)

    async def _begin_end(self, reason: EndReason) -> None:
        request = self.ask.request
        grace = request.grace if self._stop is None else self._stop.grace
        self._kill_at = min(self._kill_at, trio.current_time() + grace)
        await self.ask.reports.send(Stopping(attempt=request.attempt, reason=reason, grace=grace))


async def _sessions(server: Server) -> dict[str, str]:
    """The names of all sessions, by their ids. Raise TmuxError."""
    lines = await run_tmux(server, "list-sessions", "-F", "#{session_id} #{session_name}")
    return dict(line.split(" ", 1) for line in lines)
