"""Typing for running tasks, from another terminal: answers arrive, and it is told where they do not."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from actors.unix_socket import connect_unix
from tests.keeper_client import DEADLINE
from tests.require import needs
from tests.running import CALLBOARD, RunningPlan, callboard, python, running, task

ASKS = 'read -p "Do you want to proceed? (y/n) " answer; echo "it is <$answer>"'
WAITS = "import time; print('up', flush=True); time.sleep(1000)"


def send(run: RunningPlan, *arguments: str, code: int = 0) -> str:
    done = callboard(run.cwd, "send", run.fleet.name, *arguments, code=code)
    return done.stdout + done.stderr


def ask(run: RunningPlan, *params: Mapping[str, object]) -> list[Any]:
    """The answers to these requests, over one connection."""
    requests = [{"jsonrpc": "2.0", "id": 1, "method": "send", "params": each} for each in params]
    with closing(connect_unix(run.folder.control_socket)) as client, client.makefile("rb") as answers:
        client.settimeout(DEADLINE)
        found = []
        for request in requests:
            client.sendall(json.dumps(request).encode() + b"\n")
            found.append(json.loads(answers.readline()))
        return found


def test_a_question_on_a_terminal_is_answered(tmp_path: Path) -> None:
    needs("bash", "install bash")
    with running(tmp_path, task("a", ["bash", "-c", ASKS], source="pty")) as run:
        run.wait_for_output("a", b"(y/n) ", "terminal")

        said = send(run, "a", "yes, do")
        run.finish()

        assert said == "sent to a, attempt 1\n"
        assert b"it is <yes, do>" in run.spool("a", stream="terminal")


def test_a_worker_with_a_pipe_reads_line_by_line_or_without_line_end(tmp_path: Path) -> None:
    script = "import sys; print('up', flush=True); print(sys.stdin.readline().strip(), flush=True)"
    with running(tmp_path, python("a", script, stdin="pipe")) as run:
        run.wait_for_output("a", b"up\n")

        send(run, "a", "--no-enter", "half a ")
        send(run, "a", "line ☃")
        run.finish()

        assert run.spool("a") == "up\nhalf a line ☃\n".encode()


def test_where_nothing_can_be_typed_it_is_told_why(tmp_path: Path) -> None:
    plan = (python("a", WAITS), python("deaf", WAITS, stdin="pipe"), python("later", "", needs=["a"]), python("b", ""))
    with running(tmp_path, *plan) as run:
        run.wait_for_output("a", b"up")
        run.wait_for_output("deaf", b"up")
        run.wait_until(lambda: _is_over(run, "b"))

        said = send(run, "a", "x", code=1)
        wrong = [("later", "x"), ("b", "x"), ("daef", "x"), ("deaf", "x" * 4001)]
        requests = [{"task": name, "text": text} for name, text in wrong]
        refused = [answer["error"]["message"] for answer in ask(run, *requests)]
        filling = ask(run, *[{"task": "deaf", "text": "x" * 3999}] * 17)  # one more than a pipe of 64 KiB takes

        assert said == 'error: task "a": it has no input, or no more; give it stdin = "pipe" or source = "pty"\n'
        assert 'task "later": it does not run now, it is pending' in refused[0]
        assert 'task "b": it does not run now, it is succeeded' in refused[1]
        assert 'task "daef": there is none in this run; did you mean "deaf"?' in refused[2]
        assert "longer than 4000 bytes" in refused[3]
        assert ["error" in answer for answer in filling] == [False] * 16 + [True]
        assert "it reads nothing; try again later" in filling[-1]["error"]["message"]
        callboard(tmp_path, "stop", "--force")


def _is_over(run: RunningPlan, name: str) -> bool:
    tasks = json.loads(callboard(run.cwd, "status", "--json").stdout)["tasks"]
    return any(line["task"] == name and line["status"] == "succeeded" for line in tasks)


def test_a_worker_may_not_type_for_another_one(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, time\n"
        "while not os.path.exists('run'): time.sleep(0.01)\n"
        f"command = [{str(CALLBOARD)!r}, 'send', open('run').read(), 'a', 'y']\n"
        "done = subprocess.run(command, capture_output=True, text=True)\n"
        "print(done.returncode, done.stderr)\n"
    )
    plan = (python("a", WAITS, stdin="pipe"), python("b", script))
    with running(tmp_path, *plan) as run:
        run.wait_for_output("a", b"up")
        (tmp_path / "new").write_text(run.fleet.name)
        (tmp_path / "new").rename(tmp_path / "run")
        run.wait_until(lambda: b"may not" in run.spool("b"))
        callboard(tmp_path, "stop", "--force")


@pytest.mark.parametrize("params", [{}, {"task": "a"}, {"task": "a", "text": 1}, {"task": "a", "text": "", "x": 1}])
def test_wrong_parameters_are_refused(tmp_path: Path, params: dict[str, object]) -> None:
    with running(tmp_path, python("a", WAITS)) as run:
        run.wait_for_output("a", b"up")
        [answer] = ask(run, params)
        callboard(tmp_path, "stop", "--force")

        assert answer["error"]["code"] == -32602


def test_a_run_that_has_ended_reads_nothing(tmp_path: Path) -> None:
    with running(tmp_path, python("a", "")) as run:
        run.finish()

        assert "it is not running, so nobody reads what is sent" in send(run, "a", "x", code=2)
