"""The real OpenCode server for tests: on a port of its own, in a home of its own, with a scripted model."""

import base64
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.keeper_process.marks import find_marked
from actors.opencode_process import free_port
from actors.session_messages import Endpoint
from tests.keeper_client import end_process
from tests.require import program

__all__ = ["OpenCode", "free_port", "open_opencode", "opencode_config", "opencode_environment", "opencode_program"]

_PATIENCE = 25.0
_PAUSE = 0.02


def opencode_program() -> str:
    """The path of the real program; the test is skipped where it is not installed."""
    return program("opencode", "make agents")


def opencode_config(model_url: str, *, permission: object = "allow", **more: object) -> dict[str, Any]:
    """What an ``opencode.json`` says that makes a scripted model the only one."""
    scripted = {
        "name": "Scripted",
        "reasoning": True,
        "tool_call": True,
        "limit": {"context": 200000, "output": 32000},
        "cost": {"input": 3, "output": 15},
    }
    local = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Local",
        "options": {"baseURL": model_url, "apiKey": "x"},
        "models": {"scripted": scripted},
    }
    return {
        "model": "local/scripted",
        "small_model": "local/scripted",
        "autoupdate": False,
        "share": "disabled",
        "permission": permission,
        "provider": {"local": local},
        **more,
    }


def opencode_environment(home: Path) -> dict[str, str]:
    """Nothing of the machine's own settings reaches it."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "OPENCODE_DISABLE_MODELS_FETCH": "1"}


@dataclass
class OpenCode:
    """One server, which may be killed and started again at the same address."""

    folder: Path
    port: int
    password: str
    environment: dict[str, str]
    before: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.url, self.password)

    @property
    def log(self) -> str:
        """What it has printed since it was started last."""
        return (self.folder / "server.log").read_text(errors="replace")

    def start(self) -> None:
        """Return when it answers."""
        command = [opencode_program(), "serve", "--hostname", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self.before, *command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while "listening on" not in self.log:
            assert self.process.poll() is None, f"it ended: {self.log}"
            assert time.monotonic() < deadline, f"it never listened: {self.log}"
            time.sleep(_PAUSE)

    def kill(self, signo: int = signal.SIGKILL) -> None:
        """The server alone; what its tools started lives on."""
        os.kill(self.process.pid, signo)
        self.process.wait(_PATIENCE)

    def ask(self, path: str, body: object = None, *, method: str = "", timeout: float = _PATIENCE) -> Any:
        """A request, and its answer as JSON; None for an empty one. Raise urllib.error.HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method or None)
        request.add_header("content-type", "application/json")
        known = base64.b64encode(f"opencode:{self.password}".encode()).decode()
        request.add_header("authorization", f"Basic {known}")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def tools(self) -> list[int]:
        """The pids of what its tools started and that still lives, the server's own left out."""
        return [each.pid for each in find_marked(self.environment["CALLBOARD_MARK"]) if each.pid != self.process.pid]

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for process in find_marked(self.environment["CALLBOARD_MARK"]):
            end_process(process.pid)


@contextmanager
def open_opencode(
    folder: Path,
    model_url: str,
    *,
    port: int = 0,
    password: str = "a secret",
    permission: object = "allow",
    env: Mapping[str, str] | None = None,
    before: tuple[str, ...] = (),
) -> Iterator[OpenCode]:
    """A server that answers. ``folder`` gets its home, its configuration and its log; port 0 is a free one.

    ``permission`` is that of ``opencode.json``: "allow", or rules such as ``{"bash": "ask"}``.
    """
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    config = folder / "opencode.json"
    config.write_text(json.dumps(opencode_config(model_url, permission=permission)))
    environment = {
        **opencode_environment(home),
        "OPENCODE_CONFIG": str(config),
        "CALLBOARD_MARK": f"tests-opencode-{os.getpid()}-{folder}".replace("/", "-").replace(":", "-"),
        **({"OPENCODE_SERVER_PASSWORD": password} if password else {}),
        **(env or {}),
    }
    server = OpenCode(folder, port or free_port(), password, environment, before)
    server.start()
    try:
        yield server
    finally:
        server.close()
