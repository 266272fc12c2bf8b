"""A synchronous client of the keeper for tests: plain sockets, and a deadline for everything."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from actors.keeper_process.marks import find_marked

__all__ = ["DEADLINE", "Client", "KeeperProgram", "Message", "is_alive", "running_keeper", "wait_until_gone"]

ROOT = Path(__file__).parents[1]
DEADLINE = 20.0
_START = "import sys; sys.path.append({root!r}); from actors.keeper_process.main import main; main()"

Message: TypeAlias = dict[str, Any]


def new_id() -> str:
    return uuid.uuid4().hex


@contextmanager
def running_keeper(folder: Path) -> Iterator["Client"]:
    """A keeper and a client that controls it. Both are gone afterwards, and so is all that they started."""
    keeper = KeeperProgram(folder)
    client = keeper.connect()
    try:
        yield client
    finally:
        client.close()
        keeper.close()


class KeeperProgram:
    """The real program with the real start line, on a fleet folder."""

    def __init__(self, folder: Path, fleet: str | None = None) -> None:
        self.folder = folder
        self.fleet = fleet or new_id()
        self.socket_path = folder / "keeper.sock"
        folder.mkdir(exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        self.socket_path.unlink(missing_ok=True)
        listener.bind(str(self.socket_path))
        listener.listen(64)
        command = [sys.executable, "-I", "-S", "-c", _START.format(root=str(ROOT)), str(folder), self.fleet]
        with listener, (folder / "keeper.log").open("ab") as log:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=listener.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def connect(self, generation: int = 1) -> "Client":
        """A client that controls."""
        client = Client(self)
        client.ask({"op": "hello", "versions": [1], "fleet": self.fleet, "generation": generation})
        return client

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        """Wait for its end, without which a test fails, and for the end of everything that it started."""
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
            left = find_marked(self.fleet)
            for process in left:
                end_process(process.pid)
        assert not left
        assert "Traceback" not in self.log, self.log

    @property
    def log(self) -> str:
        return (self.folder / "keeper.log").read_text()


class Client:
    """One connection. Reports that nobody waited for stay in ``reports``."""

    def __init__(self, keeper: KeeperProgram) -> None:
        self.keeper = keeper
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(str(keeper.socket_path))
        self.reports: list[Message] = []
        self.replies: dict[int, Message] = {}
        self.fds: list[int] = []
        self._buffer = b""
        self._last = 0

    def ask(self, request: Message, fds: Sequence[int] = ()) -> Message:
        """The content of the reply. A refusal is an ``AssertionError``."""
        reply = self.reply_to(self.post(request, fds))
        assert "error" not in reply, reply
        content: Message = reply["ok"]
        return content

    def refusal(self, request: Message) -> Message:
        """The error of the reply."""
        reply = self.reply_to(self.post(request))
        assert "error" in reply, reply
        error: Message = reply["error"]
        return error

    def post(self, request: Message, fds: Sequence[int] = ()) -> int:
        self._last += 1
        line = json.dumps({"id": self._last, **request}).encode() + b"\n"
        if fds:
            sent = socket.send_fds(self.socket, [line], list(fds))
            line = line[sent:]
        self.socket.sendall(line)
        return self._last

    def reply_to(self, number: int) -> Message:
        while number not in self.replies:
            self._take()
        return self.replies.pop(number)

    def report(self, kind: str, attempt: str | None = None) -> Message:
        """The first report of this kind (of this attempt); it is taken out of ``reports``."""
        while True:
            for report in self.reports:
                if report["type"] == kind and attempt in {None, report.get("attempt")}:
                    self.reports.remove(report)
                    return report
            self._take()

    def read_to_the_end(self) -> None:
        """Until the keeper closes the connection."""
        while self._receive():
            pass

    def spawn(self, *argv: str, **changes: object) -> str:
        """Start a worker with what most tests want; the attempt's id comes back."""
        request = self.spawn_request(*argv, **changes)
        self.ask(request)
        self.drop_fds()
        return str(request["attempt"])

    def spawn_request(self, *argv: str, **changes: object) -> Message:
        attempt = str(changes.get("attempt", new_id()))
        mark = f"CALLBOARD_MARK={self.keeper.fleet}/{attempt}"
        folder = self.keeper.folder
        return {
            "op": "spawn",
            "attempt": attempt,
            "executable": argv[0],
            "argv": list(argv),
            "cwd": str(folder),
            "env": ["PATH=/usr/bin:/bin", mark],
            "stdin": {"kind": "none"},
            "stdout": str(folder / f"{attempt}.out"),
            "stderr": str(folder / f"{attempt}.err"),
            "status": str(folder / f"{attempt}.status"),
            "attached": True,
            "timeout": None,
            "grace": 0.3,
            "linger": 0.3,
            **changes,
        }

    def terminal_request(self, *argv: str, **changes: object) -> Message:
        """The same for a worker on a terminal, whose output is then where that of stdout would be."""
        request = {"window": [120, 40], **self.spawn_request(*argv, **changes)}
        del request["stderr"]
        return {**request, "terminal": request.pop("stdout")}

    def shell(self, script: str, **changes: object) -> str:
        return self.spawn("/bin/sh", "-c", script, **changes)

    def python(self, script: str, **changes: object) -> str:
        return self.spawn(sys.executable, "-I", "-S", "-c", script, **changes)

    def stop(self, attempt: str, grace: float = 0.0) -> None:
        self.ask({"op": "stop", "attempt": attempt, "grace": grace, "reason": "stop"})

    def stdout(self, attempt: str) -> bytes:
        return (self.keeper.folder / f"{attempt}.out").read_bytes()

    def stderr(self, attempt: str) -> bytes:
        return (self.keeper.folder / f"{attempt}.err").read_bytes()

    def wait_for_output(self, attempt: str, text: bytes) -> bytes:
        """The worker's output so far, once ``text`` is in it."""
        deadline = time.monotonic() + DEADLINE
        while text not in (output := self.stdout(attempt)):
            assert time.monotonic() < deadline, f"{text!r} is not in {output!r}"
            time.sleep(0.002)
        return output

    def drop_fds(self) -> None:
        while self.fds:
            os.close(self.fds.pop())

    def close(self) -> None:
        self.drop_fds()
        self.socket.close()

    def _take(self) -> None:
        assert self._receive(), f"the keeper closed the connection: {self.keeper.log}"

    def _receive(self) -> bool:
        """Read once and sort what came. False at the end of the connection."""
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, 65536, 16)
        except ConnectionResetError:
            return False
        self.fds += fds
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["type"] == "reply":
                self.replies[message["re"]] = message
            else:
                self.reports.append(message)
        return bool(data)


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid: int) -> None:
    """For any process, also one that is no child."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([pidfd], [], [], DEADLINE)
    os.close(pidfd)
    assert ready, f"process {pid} still lives"


def end_process(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
