"""``callboard attach``: a person at a real terminal gets to the pane of a worker, or is told why not."""

import os
import pty
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from protocols.errors import InputError
from protocols.ids import WorkerId
from protocols.pane import WorkerPane
from supervisor.attaching import attach_command
from tests.process_trees import wait_until
from tests.require import needs
from tests.running import CALLBOARD, callboard, running, task
from tests.tmux import open_tmux

pytestmark = pytest.mark.deadline(90)


@pytest.fixture(autouse=True)
def _needs_tmux() -> None:
    needs("tmux", "install tmux")


class _Person:
    """Somebody at a terminal, who has typed this command."""

    def __init__(self, cwd: Path, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        environ = {name: value for name, value in os.environ.items() if name != "TMUX"} | {"TERM": "xterm"}
        self.process = subprocess.Popen(
            [CALLBOARD, *arguments],
            cwd=cwd,
            env=environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        self.screen = b""

    def sees(self, text: bytes) -> bool:
        with suppress(OSError):  # nothing is there, or nobody any more
            self.screen += os.read(self.master, 65536)
        return text in self.screen

    def close(self) -> int:
        wait_until(lambda: not self.sees(b"\0") and self.process.poll() is not None)
        os.close(self.master)
        return self.process.wait()


@pytest.mark.parametrize("words", [["a"], ["RUN", "a"]])
def test_a_person_sees_the_pane_types_there_and_leaves_and_the_worker_goes_on(tmp_path: Path, words: list[str]) -> None:
    script = "echo hello; read line; echo got $line; while [ ! -e go ]; do sleep 0.02; done"
    with running(tmp_path, task("a", script, source="tmux")) as run:
        run.wait_for(WorkerPane, "a")
        person = _Person(tmp_path, "attach", *(run.fleet.name if word == "RUN" else word for word in words))
        wait_until(lambda: person.sees(b"hello"))
        os.write(person.master, b"some text\r")
        run.wait_for_output("a", b"got some text\r\n", "terminal")
        os.write(person.master, b"\x02d")

        assert person.close() == 0
        (tmp_path / "go").touch()
        run.finish()
        assert run.spool("a", stream="terminal") == b"hello\r\nsome text\r\ngot some text\r\n"


def test_what_cannot_be_opened_says_why_and_what_to_do(tmp_path: Path) -> None:
    plan = [task("a", "sleep 1000"), task("b", "true", source="tmux"), task("c", "sleep 1000", source="tmux")]
    with running(tmp_path, *plan) as run:
        run.wait_for(WorkerPane, "c")
        run.wait_until(lambda: "b: succeeded" in run.stdout.decode())
        name = run.fleet.name

        def told(*arguments: str) -> str:
            return callboard(tmp_path, "attach", *arguments, code=2).stderr

        assert told("a") == (
            f'error: task "a": it runs in no tmux, its source is "pipe"; see: callboard logs {name} a --follow\n'
        )
        assert told("b") == f'error: task "b": it has ended; see: callboard logs {name} b\n'
        assert told(name, "d").startswith(f'error: task "d": run {name} has no such task')
        assert told("c").startswith("error: attach: this is no terminal; run it in one, or: /")
        run.signal(signal.SIGTERM)
        run.finish(130)


def test_inside_another_tmux_a_person_is_told_to_leave_that_first(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with running(tmp_path, task("a", "sleep 1000", source="tmux")) as run, open_tmux(tmp_path / "mine") as tmux:
        run.wait_for(WorkerPane, "a")

        tmux.run(f"cd {tmp_path}; callboard attach a 2> told; touch done")
        tmux.wait_until((tmp_path / "done").exists)

        assert (tmp_path / "told").read_text() == (
            "error: you are inside another tmux; leave it first (C-b d), or run this in another terminal\n"
        )
        run.signal(signal.SIGTERM)
        run.finish(130)


def _pane(socket: str) -> WorkerPane:
    return WorkerPane(
        at=1.0, worker=WorkerId("a"), attempt=1, socket=socket, session="$3", pane="%3", adopted=True, reading="control"
    )


def test_inside_the_same_tmux_the_client_is_switched_there(tmp_path: Path) -> None:
    socket = tmp_path / "soc,ket"
    socket.touch()
    program = attach_command(_pane(str(socket)), {"PATH": os.environ["PATH"]})[0]

    inside = attach_command(_pane(str(socket)), {"PATH": os.environ["PATH"], "TMUX": f"{socket},123,0"})
    outside = attach_command(_pane(str(socket)), {"PATH": os.environ["PATH"]})

    assert inside == [program, "-S", str(socket), "switch-client", "-t", "$3"]
    assert outside == [program, "-S", str(socket), "attach-session", "-t", "$3"]


def test_without_tmux_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tmux is not installed; install it"):
        attach_command(_pane("x"), {"PATH": str(tmp_path)})
