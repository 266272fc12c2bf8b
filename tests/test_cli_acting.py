"""The commands that want something of a living ``callboard up``, as a person types them."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.events import AttemptStarting, WorkerExited, WorkerStarted
from tests.keeper_client import DEADLINE
from tests.running import CALLBOARD, callboard, python, running
from tests.standing_fleet import Up, up

FOREVER = ("sleep", "1000")


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path) as fleet:
        yield fleet


def said(living: Up, *arguments: str, code: int = 0) -> str:
    """What a command prints: its result, or its error."""
    done = callboard(living.cwd, *arguments, code=code)
    return done.stderr if code else done.stdout


def test_a_command_is_spawned_seen_and_stopped_by_its_name(living: Up) -> None:
    assert said(living, "spawn", "--", *FOREVER) == "sleep\n"
    living.wait_for(WorkerStarted, "sleep")
    head, line = said(living, "ps").splitlines()
    stopped = said(living, "stop", "sleep")

    assert head.split()[:2] == ["worker", "status"]
    assert line.split()[:2] == ["sleep", "running"]
    assert stopped == "stopped sleep\n"
    assert living.events(WorkerExited, "sleep")[0].reason == "stop"
    assert said(living, "ps") == "none is at work: 1 stopped; see: callboard ps --all\n"
    assert said(living, "ps", "-a").splitlines()[1].split()[:2] == ["sleep", "stopped"]


def test_everything_that_a_worker_may_be_told_is_a_flag_of_spawn(living: Up) -> None:
    (living.cwd / "below").mkdir()
    flags = ["--id", "x", "--env", "A=1", "--env", "B=2=3", "--cwd", "below", "--timeout", "30s", "--role", "command"]
    said(living, "spawn", *flags, "--shell", "--wait", "--", 'echo "$A $B $(basename "$PWD")"')

    assert living.spool("x") == b"1 2=3 below\n"
    assert living.events(AttemptStarting, "x")[0].timeout == 30


def test_whoever_waits_for_a_worker_learns_how_it_ended(living: Up) -> None:
    assert said(living, "spawn", "--wait", "--", "true") == "true\n"
    assert said(living, "spawn", "--wait", "--", "false", code=1) == "false: failed: exit code 1\n"


def test_whoever_waits_for_a_worker_knows_its_name_meanwhile(living: Up) -> None:
    command = [str(CALLBOARD), "spawn", "--wait", "--", *FOREVER]
    with subprocess.Popen(command, cwd=living.cwd, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None
        name = waiting.stdout.readline()
        said(living, "kill", name.decode().strip())

        assert waiting.wait(DEADLINE) == 1
    assert name == b"sleep\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("spawn", "COMMAND is missing; write it behind --, such as: callboard spawn -- pytest -q"),
        ("spawn --shell -- a b", "--shell: the command is to be one text, here are 2; put it in quotes"),
        ("spawn --env =1 -- true", '--env: "=1" is not NAME=VALUE'),
        ("spawn -- no-such", 'command: no command "no-such" on PATH; install it, or correct the name'),
        ("spawn --timeout 5 -- true", 'timeout: "5": a duration needs a unit; write "5s"'),
        ("kill slep", 'task "slep": there is none in this run; did you mean "sleep"?'),
        ("cancel slep", 'task "slep": there is none; did you mean "sleep"?'),
        ("retry nobody", 'task "nobody": there is none; see: callboard ps --all'),
        ("restart --grace 5 sleep", '--grace: a duration needs a unit; write "5s"'),
        ("retry", "--from is missing, or the name of a worker of the supervisor; see: callboard retry --help"),
        ("ps --watch --every x", '--every: not a duration; write it like "90s", "10m", "1h30m" or "500ms"'),
    ],
)
def test_a_mistake_is_one_error_and_exit_code_2(living: Up, arguments: str, problem: str) -> None:
    if "slep" in arguments:
        living.spawn(command=list(FOREVER))

    assert said(living, *arguments.split(), code=2) == f"error: {problem}\n"


def test_a_worker_is_killed_at_once_and_restarted_on_demand(living: Up) -> None:
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(99)"
    )
    name = living.spawn(id="a", command=["python3", "-c", stubborn])
    living.wait_for_output("a", b"up")

    assert said(living, "restart", "--grace", "0s", name) == "restarted a, attempt 2\n"
    assert said(living, "kill", name) == "killed a\n"
    assert [event.signal for event in living.events(WorkerExited, "a")] == ["SIGKILL", "SIGKILL"]


def test_where_no_supervisor_lives_it_is_not_reached(tmp_path: Path) -> None:
    for command in (["spawn", "--", "true"], ["kill", "a"], ["restart", "a"], ["cancel", "a"], ["retry", "a"]):
        done = callboard(tmp_path, *command, code=3)
        assert done.stderr == (f"error: {tmp_path}/.callboard: no supervisor runs here; start one with: callboard up\n")
    assert not (tmp_path / ".callboard").exists()


def test_of_one_that_was_killed_the_journal_tells_what_its_workers_did_last(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=list(FOREVER))
        fleet.wait_for(WorkerStarted, "a")
        fleet.signal(signal.SIGKILL)
        fleet.wait()

        shown = callboard(tmp_path, "ps")
        assert shown.stdout.splitlines()[1].split()[:2] == ["a", "running"]
        assert shown.stderr.startswith(
            f"note: run {fleet.fleet.name}: its supervisor is gone; go on with: callboard up"
        )
        assert "is not reached" not in shown.stderr
        assert "no supervisor runs here that could stop a worker" in callboard(tmp_path, "stop", "a", code=3).stderr


def test_the_workers_of_a_run_in_the_foreground_are_listed_where_no_supervisor_runs(tmp_path: Path) -> None:
    with running(tmp_path, python("a", "import time; time.sleep(99)")) as run:
        run.wait_for(WorkerStarted, "a")

        shown = callboard(tmp_path, "ps", "--json")

    assert [json.loads(line)["task"] for line in shown.stdout.splitlines()] == ["a"]


def test_a_name_alone_is_a_worker_of_the_supervisor_in_logs_and_send(living: Up) -> None:
    echo = "import sys\nfor line in sys.stdin: print('got', line, end='', flush=True)"
    name = living.spawn(id="a", command=["python3", "-c", echo], stdin="pipe")
    living.wait_for(WorkerStarted, "a")

    assert said(living, "send", name, "hello") == "sent to a, attempt 1\n"
    living.wait_for_output("a", b"got hello\n")
    assert said(living, "logs", name) == "got hello\n"
    assert said(living, "logs", living.fleet.name[:4], name) == "got hello\n"


def test_a_plan_is_submitted_and_read_by_the_name_of_its_run(living: Up) -> None:
    (living.cwd / "demo.toml").write_text(python("lint", "print('fine')") + python("bad", "raise SystemExit(3)"))

    ended = callboard(living.cwd, "submit", "--wait", "demo.toml", code=1)

    over = 'task "demo": it is over, it is failed, and takes no more commands'
    assert said(living, "restart", "demo/lint", code=2) == f"error: {over}\n"
    assert ended.stdout == "demo\n"
    assert ended.stderr.startswith("demo: failed: its run failed (1 succeeded, 1 failed)")
    assert said(living, "logs", "demo/lint") == "fine\n"
    assert said(living, "logs", "demo", "lint") == "fine\n"
    assert "demo.toml: failed" in said(living, "status", "demo").splitlines()[0]
    assert "callboard up: running" in said(living, "status").splitlines()[0]
    assert said(living, "report", "demo").splitlines()[0].endswith("demo.toml")
    assert said(living, "instances").splitlines()[1].split()[:2] == ["demo", "failed"]
    assert {row.split()[2] for row in said(living, "history").splitlines()[1:]} == {"demo", "demo/lint", "demo/bad"}


def test_a_worker_that_failed_is_retried_and_each_attempt_is_in_its_history(living: Up) -> None:
    living.spawn(id="a", command=["false"])
    living.wait_for(WorkerExited, "a")

    assert said(living, "retry", "a") == "retries a\n"
    living.wait_for(WorkerExited, "a", 2)
    assert [json.loads(text)["attempt"] for text in said(living, "history", "a", "--json").splitlines()] == [2, 1]
    assert said(living, "history", "b", code=2) == (
        f'error: worker "b": run {living.fleet.name} has none of this name; see: callboard ps --all\n'
    )


def test_records_are_followed_over_a_kill_of_the_supervisor_without_a_gap(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=["true"])
        with (tmp_path / "events").open("wb") as events:
            follower = subprocess.Popen([CALLBOARD, "events", "-f", "--json"], cwd=tmp_path, stdout=events)
            fleet.wait_until(lambda: (tmp_path / "events").stat().st_size > 0)
            fleet.signal(signal.SIGKILL)
            fleet.wait()
            with up(tmp_path) as again:
                again.spawn(id="b", command=["true"])
                again.wait_for(WorkerExited, "b")
                again.signal(signal.SIGTERM)
                again.finish(0)
                assert follower.wait(25) == 0
                last = len(again.records())

    numbers = [json.loads(text)["seq"] for text in (tmp_path / "events").read_text().splitlines()]
    assert numbers == list(range(1, last + 1))


def test_where_nobody_waits_for_a_permission_it_says_so(living: Up) -> None:
    assert said(living, "approve") == "nobody waits for a permission\n"
    assert said(living, "approve", "a", code=2) == said(living, "deny", "a", code=2)
    assert said(living, "deny", "a", code=2) == (
        'error: worker "a": it waits for no permission; who does: callboard approve\n'
    )


def test_a_topic_that_is_none_is_told_with_those_that_there_are(living: Up) -> None:
    assert said(living, "events", "--topic", "eror", code=2) == (
        'error: --topic: there is no topic "eror"; did you mean "error"?\n'
    )
    assert said(living, "events", "--topic", "x", code=2).startswith(
        'error: --topic: there is no topic "x"; there are: run, task, '
    )


def test_whoever_interrupts_a_table_leaves_with_130(living: Up) -> None:
    watching = subprocess.Popen(
        [CALLBOARD, "ps", "--watch", "--every", "100ms"],
        cwd=living.cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    with watching:
        assert watching.stdout is not None and watching.stderr is not None
        assert b"no workers" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert (watching.wait(25), watching.stderr.read()) == (130, b"")


def test_a_run_is_stopped_by_its_id_as_ever(living: Up) -> None:
    assert said(living, "stop", living.fleet.name) == f"run {living.fleet.name} has ended\n"
    assert living.wait() == 0
