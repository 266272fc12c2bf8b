"""The port of ``callboard up``: where it listens, told in a file while it does."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from actors.display import write_all
from actors.files import replace_file
from protocols.layout import StateFolder
from protocols.port_file import PortFile
from supervisor.children import Child
from supervisor.serving import Parts
from supervisor.version import VERSION

__all__ = ["UpPort"]

_STDERR = 2


@dataclass(frozen=True, slots=True)
class UpPort:
    state: StateFolder

    def child(self, parts: Parts) -> Child:
        """See `Serve`."""

        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            await self._run(parts, task_status)

        return Child("port", run, when_exhausted="park")

    async def _run(self, parts: Parts, task_status: trio.TaskStatus[None]) -> None:
        identity, socket = parts.fleet.identity, parts.fleet.folder.control_socket
        file = PortFile(pid=identity.pid, run=identity.run, version=VERSION, socket=str(socket))
        replace_file(self.state.port_file, msgspec.json.format(msgspec.json.encode(file)) + b"\n")
        try:
            _tell(f"callboard up: run {identity.run}, pid {identity.pid}; it listens on {_short(socket)}")
            task_status.started()
            await trio.sleep_forever()
        finally:
            self.state.port_file.unlink(missing_ok=True)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _tell(text: str) -> None:
    write_all(_STDERR, f"{text}\n".encode(), wait=False)
