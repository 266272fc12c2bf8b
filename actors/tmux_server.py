"""The tmux server of a fleet: its own, a worker of the keeper like others, started when somebody wants it."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from actors.hosted_process import HostedProcess
from actors.orders import KeeperAsk
from actors.strays import BESIDE
from actors.tmux_client import run_tmux
from actors.tmux_process import Server
from protocols.environment import MARK, chained_mark, worker_environment
from protocols.errors import KeeperError, TmuxError
from protocols.ids import FleetId, TaskId
from protocols.keeper import Spawn
from protocols.layout import FleetFolder
from protocols.plan import Task

__all__ = ["OwnServer", "client_environment"]

_LONGEST_PATH = 100  # of a socket: the kernel takes 107 bytes, and tmux adds some for its lock
_START = 5.0  # on a busy machine; usually 10 ms
_LOOK = 0.01
_GRACE = 0.5
_CONFIGURATION = """\
set -g default-terminal screen-256color
set -g update-environment ''
set -g history-limit 2000
set -g allow-rename off
set -g automatic-rename off
set -g set-clipboard off
set -g status-left '[#S] '
set -g status-left-length 60
set -g status-right 'to leave: C-b d'
set -g window-status-format ''
set -g window-status-current-format ''
"""
_THEIRS = ("TMUX", "TMUX_PANE", MARK)


def client_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What our clients of a server run in: as if no tmux were around them, and as processes of no worker."""
    passed = {name: value for name, value in environ.items() if name not in _THEIRS}
    return passed | {MARK: chained_mark(environ.get(MARK), BESIDE)}


@dataclass(slots=True, kw_only=True)
class OwnServer:
    """Nobody else uses it, so it ends with the fleet, or when `stop` is called."""

    fleet: FleetId
    folder: FleetFolder
    environ: Mapping[str, str]
    keeper: trio.MemorySendChannel[KeeperAsk]
    attached: bool = True
    """It ends when the supervisor is gone, as its workers do."""
    _lock: trio.Lock = field(default_factory=trio.Lock)
    _turn: trio.Lock = field(default_factory=trio.Lock)
    _process: HostedProcess | None = None
    """That was started last."""

    @property
    def server(self) -> Server:
        return Server(_flags(self.folder, self.fleet), client_environment(self.environ), self._turn)

    async def ensure(self, nursery: trio.Nursery) -> Server:
        """The server, which answers. Raise TmuxError or KeeperError with what to do.

        Its watcher lives in the nursery.
        """
        async with self._lock:
            try:
                return await self.find()
            except TmuxError as error:
                if error.kind != "server":
                    raise
            await self._wait(await self._start(nursery))
            return self.server

    async def find(self) -> Server:
        """The server, which answers. Raise TmuxError where there is none."""
        await run_tmux(self.server, "show-options", "-s", "exit-empty")
        return self.server

    async def stop(self) -> None:
        """Return when it is gone, with all that ran in it."""
        if self._process is not None:
            await self._process.stop(_GRACE)

    async def _start(self, nursery: trio.Nursery) -> trio.Event:
        """Return what tells of its end. Raise KeeperError."""
        if self._process is not None:
            with trio.move_on_after(_START):  # one that is about to end would take the new one for a client of its own
                await self._process.ended.wait()
        process = HostedProcess(fleet=self.fleet, keeper=self.keeper, folder=self.folder.tmux, attached=self.attached)
        request = await trio.to_thread.run_sync(self._request, process)
        await process.start(nursery, request, _task())
        self._process = process
        nursery.start_soon(self._tidy, process.ended)
        return process.ended

    async def _tidy(self, ended: trio.Event) -> None:
        await ended.wait()
        if self.server.flags[0] == "-L":  # it is in no folder of ours, which would be pruned
            folder = self.environ.get("TMUX_TMPDIR", "/tmp")  # noqa: S108 - where tmux makes one of its own
            name = Path(folder, f"tmux-{os.geteuid()}", self.server.flags[1])
            await trio.to_thread.run_sync(partial(name.unlink, missing_ok=True))

    async def _wait(self, ended: trio.Event) -> None:
        """Until it answers."""
        with trio.move_on_after(_START):
            while not ended.is_set():
                try:
                    await self.find()
                except TmuxError as error:
                    if error.kind != "server":
                        raise
                else:
                    return
                await trio.sleep(_LOOK)
        said = await trio.to_thread.run_sync(_read, self.folder.tmux / "stderr")
        raise TmuxError(
            f"tmux: its server does not start{': ' if said else ''}{said}; see {self.folder.tmux}", "server"
        )

    def _request(self, process: HostedProcess) -> Spawn:
        """In a thread: it writes files. Raise KeeperError."""
        program = shutil.which("tmux", path=self.environ.get("PATH", os.defpath))
        if program is None:
            raise TmuxError("tmux is not installed; install it, or choose another source")
        folder = self.folder.tmux
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "tmux.conf").write_text(_CONFIGURATION)
        except OSError as error:
            raise KeeperError(f"{error.filename}: {error.strerror}") from error
        command = (program, "-D", *_flags(self.folder, self.fleet), "-f", str(folder / "tmux.conf"))
        return process.request(command, worker_environment(_task(), self.environ), self.environ.get(MARK))


def _task() -> Task:
    return Task(id=TaskId("tmux"), command=("tmux",), pass_env=("TMUX_TMPDIR",))


def _flags(folder: FleetFolder, fleet: FleetId) -> tuple[str, str]:
    """In the folder of the fleet, where its path is not too long for a socket."""
    path = str(folder.tmux / "socket")
    return ("-S", path) if len(os.fsencode(path)) <= _LONGEST_PATH else ("-L", f"callboard-{fleet[:16]}")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()[:500]
    except OSError:
        return ""
