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
from actors.hosted_process import HostedProcess
from actors.opencode_words import exit_text, last_words
from actors.orders import KeeperAsk
from actors.server_messages import ServerCalls
from actors.session_messages import Endpoint
from protocols.agents import Agent
from protocols.environment import MARK, worker_environment
from protocols.errors import KeeperError, ServerError
from protocols.ids import AttemptId, FleetId, TaskId
from protocols.keeper import Spawn
from protocols.plan import Task
from protocols.secrets import SecretSource
from protocols.wording import quote

__all__ = ["Host", "OpenCodeProcess", "free_port"]

_LISTENS = b"listening on"
_LOOK = 0.02
_PAUSE = 0.1  # between two probes: each takes a connection of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What all servers of an agent have in common."""

    agent: Agent
    fleet: FleetId
    environ: Mapping[str, str]
    """Our own environment: what is passed of it is the agent's business."""
    secrets: Mapping[SecretSource, str] = field(default_factory=dict, repr=False)
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
    hosted: HostedProcess = field(init=False)

    def __post_init__(self) -> None:
        host = self.host
        self.hosted = HostedProcess(
            fleet=host.fleet, keeper=host.keeper, folder=self.folder, attached=host.attached, attempt=self.attempt
        )

    async def start(self, nursery: trio.Nursery, *, resume: bool = False) -> None:
        """It runs. Raise ServerError. Its watcher lives in the nursery.

        ``resume``: it was started by an earlier supervisor, as ``attempt``; nothing is started then.
        """
        request = await trio.to_thread.run_sync(self._request, limiter=self.host.limiter)
        try:
            resumed = msgspec.structs.replace(request, resume=resume)
            await self.hosted.start(nursery, resumed, _task(self.host.agent))
        except KeeperError as error:
            raise ServerError(f"{self._who}: {error}", "unreachable") from error

    async def wait_until_ready(self, stopping: trio.Event) -> str:
        """Its version, once it answers. Raise ServerError: it has ended, does not answer in time, or nobody waits."""
        client = self.host.open_client(self.endpoint)
        within = self.host.agent.ready_within
        doing = "it does not listen"
        with trio.move_on_after(within):
            while not self.hosted.ended.is_set() and not stopping.is_set():
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
        if self.hosted.ended.is_set():
            raise ServerError(f"{await self.tell_end()}", "unreachable")
        text = f"{self._who}: its server is not ready after {within:g} s: {doing}{await self._tell_words()}"
        raise ServerError(f"{text}; raise agents.{self.host.agent.name}.ready_within if it only needs longer", "late")

    async def stop(self, grace: float) -> None:
        """Return when nothing of it is left."""
        await self.hosted.stop(grace)

    async def tell_end(self) -> str:
        """How it ended, in words for a user."""
        end = self.hosted.end
        how = "ended" if end is None else exit_text(end.code, end.signal)
        if "ServeError" in (words := await self._tell_words()) or "EADDRINUSE" in words:
            port = self.endpoint.url.rpartition(":")[2]
            how = f"{how}: somebody else has its port {port} of 127.0.0.1, or it may not listen"
        return f"{self._who}: its server (pid {self.hosted.pid}) {how}{words}"

    @property
    def _who(self) -> str:
        return f"agent {quote(self.host.agent.name)}"

    async def _listens(self) -> bool:
        return _LISTENS in await trio.to_thread.run_sync(_read, self.folder / "stdout", limiter=self.host.limiter)

    async def _tell_words(self) -> str:
        """The last that it said of itself, and where the rest is."""
        for name in ("stderr", "stdout"):
            data = await trio.to_thread.run_sync(_read, self.folder / name, limiter=self.host.limiter)
            if words := last_words(data):
                return f"; its last words: {words}; see {self.folder / name}"
        return f"; it said nothing; see {self.folder}"

    def _request(self) -> Spawn:
        """In a thread: it writes files. Raise ServerError."""
        host, agent = self.host, self.host.agent
        task = _task(agent)
        environ = worker_environment(task, host.environ, host.secrets)
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
        environ = {"OPENCODE_DISABLE_AUTOUPDATE": "1"} | environ  # not while sessions live in it
        environ |= {
            "OPENCODE_CONFIG": str(self.folder / "opencode.json"),
            "OPENCODE_SERVER_PASSWORD": self.endpoint.password,
            "OPENCODE_SERVER_USERNAME": self.endpoint.user,
        }
        return self.hosted.request(command, environ, host.environ.get(MARK))


def _task(agent: Agent) -> Task:
    return Task(
        id=TaskId(agent.name), command=agent.command, env=agent.env, secrets=agent.secrets, pass_env=agent.pass_env
    )


def _read(path: Path) -> bytes:
    """The end of it."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            return file.read()
    except OSError:
        return b""
