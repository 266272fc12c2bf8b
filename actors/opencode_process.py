"""One process of ``opencode serve``: a worker of the keeper, started, awaited until it answers, and ended."""

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from actors.files import replace_file
from actors.opencode_words import exit_text, last_words
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk, StartWorker
from actors.server_messages import ServerCalls
from actors.session_messages import Endpoint
from protocols.agents import Agent
from protocols.environment import worker_environment
from protocols.errors import ServerError
from protocols.ids import AttemptId, FleetId, TaskId
from protocols.keeper import Ended, Report, Spawn, Spawned, Stdin, Stop
from protocols.keeper_codec import to_os
from protocols.plan import Task
from protocols.wording import quote

__all__ = ["Host", "OpenCodeProcess", "free_port"]

_MARK = "CALLBOARD_MARK"
_LISTENS = b"listening on"
_LOOK = 0.02
_PAUSE = 0.1  # between two probes: each takes a connection of its own
_LINGER = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What all servers of an agent have in common."""

    agent: Agent
    fleet: FleetId
    environ: Mapping[str, str]
    """Our own environment: what is passed of it is the agent's business."""
    keeper: trio.MemorySendChannel[KeeperAsk]
    open_client: Callable[[Endpoint], ServerCalls]
    limiter: trio.CapacityLimiter
    attached: bool = True
    """Its servers end when the supervisor is gone."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(slots=True, kw_only=True)
class OpenCodeProcess:
    """Not to be started twice."""

    host: Host
    endpoint: Endpoint
    folder: Path
    """Of its own: its configuration, its output."""
    attempt: AttemptId = field(default_factory=lambda: AttemptId(secrets.token_hex(16)))
    pid: int = 0
    ended: trio.Event = field(default_factory=trio.Event)
    _end: Ended | None = None
    _alive: bool = False

    async def start(self, nursery: trio.Nursery, *, resume: bool = False) -> None:
        """It runs. Raise ServerError. Its watcher lives in the nursery.

        ``resume``: it was started by an earlier supervisor, as ``attempt``; nothing is started then.
        """
        host = self.host
        request = await trio.to_thread.run_sync(self._request, resume, limiter=host.limiter)
        send, answer = trio.open_memory_channel[Answer](1)
        reports, inbox = trio.open_memory_channel[Report](16)
        with send, answer:
            await host.keeper.send(AskSpawn(request, send, reports, StartWorker(_task(host.agent), 1, self.attempt)))
            answered = await answer.receive()
        if answered.error is not None:
            raise ServerError(f"{self._who}: {answered.error}", "unreachable")
        self.pid, self._alive = msgspec.json.decode(answered.ok, type=Spawned).pid, True
        nursery.start_soon(self._watch, inbox)

    async def wait_until_ready(self, stopping: trio.Event) -> str:
        """Its version, once it answers. Raise ServerError: it has ended, does not answer in time, or nobody waits."""
        client = self.host.open_client(self.endpoint)
        within = self.host.agent.ready_within
        doing = "it does not listen"
        with trio.move_on_after(within):
            while not self.ended.is_set() and not stopping.is_set():
                if not await self._listens():
                    await trio.sleep(_LOOK)
                    continue
                try:
                    return await client.health()
                except ServerError as error:
                    if error.kind == "refused-password":
                        raise
                    doing = f"it listens, but {error}"
                await trio.sleep(_PAUSE)
        if stopping.is_set():
            raise ServerError(f"{self._who}: stopped before its server answered", "unreachable")
        if self.ended.is_set():
            raise ServerError(f"{await self.tell_end()}", "unreachable")
        text = f"{self._who}: its server is not ready after {within:g} s: {doing}{await self._tell_words()}"
        raise ServerError(f"{text}; raise agents.{self.host.agent.name}.ready_within if it only needs longer", "late")

    async def stop(self, grace: float) -> None:
        """Return when nothing of it is left."""
        if self._alive:
            await self.host.keeper.send(Ask(Stop(attempt=self.attempt, grace=grace, reason="stop")))
            await self.ended.wait()

    async def tell_end(self) -> str:
        """How it ended, in words for a user."""
        end = self._end
        how = "ended" if end is None else exit_text(end.code, end.signal)
        if "ServeError" in (words := await self._tell_words()) or "EADDRINUSE" in words:
            port = self.endpoint.url.rpartition(":")[2]
            how = f"{how}: somebody else has its port {port} of 127.0.0.1, or it may not listen"
        return f"{self._who}: its server (pid {self.pid}) {how}{words}"

    @property
    def _who(self) -> str:
        return f"agent {quote(self.host.agent.name)}"

    async def _watch(self, inbox: trio.MemoryReceiveChannel[Report]) -> None:
        with inbox:
            async for report in inbox:
                if isinstance(report, Ended):
                    self._end = report
                    break
        self._alive = False
        self.ended.set()

    async def _listens(self) -> bool:
        return _LISTENS in await trio.to_thread.run_sync(_read, self.folder / "stdout", limiter=self.host.limiter)

    async def _tell_words(self) -> str:
        """The last that it said of itself, and where the rest is."""
        for name in ("stderr", "stdout"):
            data = await trio.to_thread.run_sync(_read, self.folder / name, limiter=self.host.limiter)
            if words := last_words(data):
                return f"; its last words: {words}; see {self.folder / name}"
        return f"; it said nothing; see {self.folder}"

    def _request(self, resume: bool) -> Spawn:
        """In a thread: it writes files. Raise ServerError."""
        host, agent = self.host, self.host.agent
        task = _task(agent)
        environ = worker_environment(task, host.environ)
        name = agent.command[0]
        program = shutil.which(name, path=environ.get("PATH", os.defpath))
        if program is None:
            what = f"{self._who}: {quote(name)} is {'no program' if '/' in name else 'not on PATH'}"
            advice = f"install it (npm install --global opencode-ai), or set agents.{agent.name}.command"
            raise ServerError(f"{what}; {advice}", "not-found")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.folder / "opencode.json", agent.config.encode())
        except OSError as error:
            raise ServerError(f"{self._who}: {error.filename}: {error.strerror}", "unreachable") from error
        port = self.endpoint.url.rpartition(":")[2]
        command = (program, *agent.command[1:], "serve", "--hostname", "127.0.0.1", "--port", port)
        outer, mark = host.environ.get(_MARK), f"{host.fleet}/{self.attempt}"
        environ = {"OPENCODE_DISABLE_AUTOUPDATE": "1"} | environ  # not while sessions live in it
        environ |= {
            "OPENCODE_CONFIG": str(self.folder / "opencode.json"),
            "OPENCODE_SERVER_PASSWORD": self.endpoint.password,
            "OPENCODE_SERVER_USERNAME": self.endpoint.user,
            _MARK: f"{outer}:{mark}" if outer else mark,
        }
        return Spawn(
            attempt=self.attempt,
            executable=_os(program),
            argv=tuple(map(_os, command)),
            cwd=_os(self.folder),
            env=tuple(_os(f"{key}={value}") for key, value in environ.items()),
            stdin=Stdin("none"),
            stdout=_os(self.folder / "stdout"),
            stderr=_os(self.folder / "stderr"),
            status=_os(self.folder / "status"),
            attached=host.attached,
            host=True,
            timeout=None,
            grace=_LINGER,
            linger=_LINGER,
            resume=resume,
        )


def _task(agent: Agent) -> Task:
    return Task(id=TaskId(agent.name), command=agent.command, env=agent.env, pass_env=agent.pass_env)


def _read(path: Path) -> bytes:
    """The end of it."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            return file.read()
    except OSError:
        return b""


def _os(text: str | Path) -> str:
    return to_os(os.fsencode(text))
