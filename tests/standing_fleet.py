"""A real ``callboard up`` for tests, and a client of its control socket."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from actors.unix_socket import connect_unix
from supervisor.fleets import Fleet, find_fleets
from tests.keeper_client import DEADLINE
from tests.running import RunningPlan, start

__all__ = ["Up", "up"]


class Up(RunningPlan):
    """The fleet that the last ``callboard up`` of a folder has."""

    @property
    def fleet(self) -> Fleet:
        return find_fleets(self.cwd / ".callboard")[0]

    def command(self, kind: str, **fields: object) -> dict[str, Any]:
        """The answer to a command: ``result`` or ``error``."""
        with closing(connect_unix(self.folder.control_socket)) as client:
            client.settimeout(DEADLINE)
            request = {"jsonrpc": "2.0", "id": 1, "method": "command", "params": {"type": kind, **fields}}
            client.sendall(json.dumps(request).encode() + b"\n")
            answer = client.makefile("rb").readline()
        found: dict[str, Any] = json.loads(answer)
        return found

    def done(self, kind: str, **fields: object) -> dict[str, Any]:
        """The result of a command that is to be carried out."""
        answer = self.command(kind, **fields)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def refused(self, kind: str, **fields: object) -> str:
        """Why a command is refused."""
        answer = self.command(kind, **fields)
        assert "error" in answer, answer
        return str(answer["error"]["message"])

    def spawn(self, **task: object) -> str:
        """The id of one more task in the folder of the test."""
        return str(self.done("spawn", task=task, cwd=str(self.cwd))["task"])


@contextmanager
def up(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Up]:
    """It listens, and has told so."""
    (folder / ".callboard" / "port.json").unlink(missing_ok=True)  # that of one that was killed
    fleet = Up(folder, start(folder, ["up", *(() if "--port" in options else ("--port", "0")), *options], env))
    try:
        fleet.wait_until(
            lambda: (folder / ".callboard" / "port.json").exists() and bool(find_fleets(folder / ".callboard"))
        )
        yield fleet
    finally:
        fleet.close()
