"""Commands to the workers of a real run, through its socket: what proves that they were taken, and who may not."""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from actors.command_file import read_commands
from actors.unix_socket import connect_unix
from protocols.command_events import CommandAccepted, CommandDone, CommandQueued, CommandWritten
from protocols.events import AttemptStarting
from tests.keeper_client import DEADLINE
from tests.require import needs
from tests.running import RunningPlan, callboard, python, running, task

__all__: list[str] = []

READS = "import sys; print('up', flush=True); print(sys.stdin.readline().strip(), flush=True)"
WAITS = "import time; print('up', flush=True); time.sleep(1000)"
# What a worker does that wants to pass for somebody else: no mark, no parent of its own.
HIDES = """
import json, os, socket, sys, time
while not os.path.exists("socket"): time.sleep(0.01)
command = {"type": sys.argv[1], "task": "a", **json.loads(sys.argv[2])}
leader = os.getpid()
if os.fork(): os._exit(0) if sys.argv[3] == "orphan" else os.wait() and os._exit(0)
os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", '''
import json, os, socket, sys, time
while sys.argv[2] == "orphan" and os.getppid() == int(sys.argv[3]): time.sleep(0.01)
client = socket.socket(socket.AF_UNIX)
client.connect(open("socket").read())
request = {"jsonrpc": "2.0", "id": 1, "method": "command", "params": json.loads(sys.argv[1])}
client.sendall(json.dumps(request).encode() + b"\\\\n")
os.write(os.open("answer.new", os.O_CREAT | os.O_WRONLY), client.makefile("rb").readline())
os.rename("answer.new", "answer")
''', json.dumps(command), sys.argv[3], str(leader)], {})
"""


def command(run: RunningPlan, kind: str, **fields: object) -> dict[str, Any]:
    with closing(connect_unix(run.folder.control_socket)) as client:
        client.settimeout(DEADLINE)
        request = {"jsonrpc": "2.0", "id": 1, "method": "command", "params": {"type": kind, **fields}}
        client.sendall(json.dumps(request).encode() + b"\n")
        found: dict[str, Any] = json.loads(client.makefile("rb").readline())
        return found


def test_what_a_worker_reads_from_its_pipe_is_accepted_and_told_by_four_events(tmp_path: Path) -> None:
    with running(tmp_path, python("a", READS, stdin="pipe")) as run:
        run.wait_for_output("a", b"up\n")

        answer = command(run, "send", task="a", action={"kind": "text", "text": "hello"}, id="mine")
        run.finish()

        assert (answer["result"]["command"], answer["result"]["task"]) == ("mine", "a")
        assert run.spool("a") == b"up\nhello\n"
        kinds = (CommandQueued, CommandWritten, CommandAccepted, CommandDone)
        assert [len(run.events(kind)) for kind in kinds] == [1] * 4
        assert run.events(CommandAccepted)[0].why == "it has read all of its stdin"
        assert [row.state for row in read_commands(run.folder.commands)] == ["done"]


def test_what_a_terminal_shows_is_accepted_and_what_it_does_not_show_stays_written(tmp_path: Path) -> None:
    needs("bash", "install bash")
    asks = 'read -s -p "Password: " hidden; read -p "Name: " name; echo "done $name"'
    with running(tmp_path, task("a", ["bash", "-c", asks], source="pty")) as run:
        run.wait_for_output("a", b"Password: ", "terminal")
        command(run, "send", task="a", action={"kind": "text", "text": "secret word"}, until="written")
        run.wait_for_output("a", b"Name: ", "terminal")
        command(run, "send", task="a", action={"kind": "text", "text": "Ada"}, until="written")
        run.finish()

        hidden, shown = sorted(read_commands(run.folder.commands), key=lambda row: row.number)
        assert (hidden.state, shown.state, shown.reason) == ("written", "done", "its screen shows it")


def test_a_signal_and_a_restart_are_done_when_they_have_happened(tmp_path: Path) -> None:
    script = (
        "import signal, os\n"
        "signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'got it\\n'))\n"
        "os.write(1, b'up\\n')\n"
        "while True: signal.pause()\n"
    )
    with running(tmp_path, python("a", script)) as run:
        run.wait_for_output("a", b"up\n")
        signalled = command(run, "send", task="a", action={"kind": "signal", "signal": "USR1"}, until="written")
        run.wait_for_output("a", b"got it\n")
        again = command(run, "send", task="a", action={"kind": "restart", "grace": 0.0}, until="written")
        run.wait_for(AttemptStarting, "a", 2)
        callboard(tmp_path, "stop", "--force")

        assert [answer["result"]["state"] for answer in (signalled, again)] == ["done", "done"]


def test_a_command_for_a_task_that_has_not_begun_is_written_when_it_runs(tmp_path: Path) -> None:
    gate = "import os, time\nos.write(1, b'up')\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with running(tmp_path, python("first", gate), python("a", READS, stdin="pipe", needs=["first"])) as run:
        run.wait_for_output("first", b"up")
        early = command(run, "send", task="a", action={"kind": "text", "text": "early"})
        assert "result" in early, early
        (tmp_path / "go").touch()
        run.finish()

        assert early["result"]["state"] == "queued"
        assert run.spool("a") == b"up\nearly\n"


@pytest.mark.parametrize("how", ["child", "orphan"])
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("permission", {"permission": "per_1", "reply": "once"}),
        ("send", {"action": {"kind": "approve", "permission": "per_1"}}),
        ("type", {"data": "eQ=="}),
    ],
)
def test_a_worker_cannot_approve_itself_whatever_it_hides(
    tmp_path: Path, kind: str, fields: dict[str, object], how: str
) -> None:
    sly = [sys.executable, "-I", "-S", "-c", HIDES, kind, json.dumps(fields), how]
    with running(tmp_path, python("a", WAITS), task("sly", sly), settings='[stop]\nlinger = "20s"\n') as run:
        run.wait_for_output("a", b"up")
        (tmp_path / "socket.new").write_text(str(run.folder.control_socket))
        (tmp_path / "socket.new").rename(tmp_path / "socket")
        run.wait_until((tmp_path / "answer").exists)
        answer = json.loads((tmp_path / "answer").read_bytes())
        callboard(tmp_path, "stop", "--force")

    assert "that is for people" in answer["error"]["message"]
