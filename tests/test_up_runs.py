"""Runs that are submitted to a ``callboard up``: each is a task of it that is a callboard of its own."""

import json
import os
import signal
from pathlib import Path

import pytest
import trio

from protocols.adoption_events import WorkerAdopted
from protocols.commands import CancelTask, StopTask, SubmitRun
from protocols.errors import FleetError
from protocols.events import (
    InstanceLinked,
    RunEnded,
    RunResumed,
    TaskStatusChanged,
    WorkerExited,
    WorkerOutput,
    WorkerStarted,
)
from protocols.fleet_events import ActorFailed
from supervisor.client import Client
from supervisor.port_access import ask_port
from tests.detached import UNTIL_GO
from tests.instances import below, come_up, told
from tests.keeper_client import is_alive
from tests.running import task
from tests.standing_fleet import Up, up

pytestmark = pytest.mark.deadline(90)  # each is several callboards, one after the other


def submit(fleet: Up, *plan: str, **fields: object) -> str:
    text = "\n".join(plan)
    return str(fleet.done("submit", **{"plan": text, "cwd": str(fleet.cwd), "name": "demo.toml", **fields})["task"])


def test_a_plan_is_run_as_a_task_and_its_tasks_are_seen(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        first = submit(fleet, task("hello", "echo hello; pwd"))
        second = submit(fleet, task("fails", "exit 3"))
        fleet.wait_for(WorkerExited, "demo")
        exited = fleet.wait_for(WorkerExited, "demo-2")

        assert (first, second) == ("demo", "demo-2")
        assert exited.error == "its run failed (1 failed)"
        folder = below(fleet, "demo")
        assert come_up(fleet, "demo") == [(each.seq, each.event) for each in told(folder)]
        assert (folder.root / "spool" / "hello" / "1" / "stdout").read_text() == f"hello\n{tmp_path}\n"
        assert [event.outcome for _, event in come_up(fleet, "demo-2") if isinstance(event, RunEnded)] == ["failed"]


def test_it_has_the_environment_and_the_concurrency_that_it_would_have_alone(tmp_path: Path) -> None:
    (tmp_path / "callboard.toml").write_text("[up]\nconcurrency = 1\n")
    wide = "[defaults]\nconcurrency = 3\npass_env = ['CALLER']\n"
    meet = 'touch $0; until [ -e a ] && [ -e b ] && [ -e c ]; do sleep 0.01; done; echo "$CALLER"'
    tasks = [task(name, meet.replace("$0", name)) for name in "abc"]
    with up(tmp_path, env={"CALLER": "me"}) as fleet:
        submit(fleet, wide, *tasks)
        assert fleet.wait_for(WorkerExited, "demo").code == 0

        assert (below(fleet, "demo").root / "spool" / "b" / "1" / "stdout").read_text() == "me\n"


def test_a_plan_with_mistakes_is_refused_in_the_words_of_check_and_leaves_nothing(tmp_path: Path) -> None:
    plan = task("one", ["no-such-command"]) + task("two", "true", needs=["on"])
    deep = '[[tasks]]\nid = "again"\ninstance = { plan = "deep.toml" }\n'
    (tmp_path / "deep.toml").write_text(deep)
    with up(tmp_path) as fleet:
        syntax = fleet.refused("submit", plan="[[tasks", cwd=str(tmp_path), name="x/demo.toml")
        graph = fleet.refused("submit", plan=plan, cwd=str(tmp_path), name="x/demo.toml")
        missing = fleet.refused("submit", plan=task("one", ["no-such-command"]), cwd=str(tmp_path), name="demo.toml")
        endless = fleet.refused("submit", plan=deep, cwd=str(tmp_path), name="demo.toml")
        submit(fleet, task("a", "true"), id="mine")
        twice = fleet.refused("submit", plan=task("a", "true"), cwd=str(tmp_path), id="mine")

        assert syntax.startswith("x/demo.toml: ")
        assert graph == 'x/demo.toml: tasks[1].needs: no task "on"; did you mean "one"?'
        assert missing == (
            'demo.toml: tasks[0].command: no command "no-such-command" on PATH; install it, or correct the name'
        )
        assert endless.startswith("demo.toml: tasks[0].instance.plan: ")
        assert 'there is a task "mine" already' in twice
        assert sorted(path.name for path in fleet.folder.submitted.iterdir()) == ["mine.json", "mine.toml"]


def test_no_name_reaches_a_file_outside_of_the_run_and_no_word_ends_the_port(tmp_path: Path) -> None:
    plan = task("a", "true")
    aim = tmp_path / "aim.toml"
    aim.write_text("mine")
    with up(tmp_path) as fleet:
        for name in ("../../../aim", str(tmp_path / "aim"), "a\0b"):
            assert "is not a safe name" in fleet.refused("submit", plan=plan, cwd=str(tmp_path), id=name)
        assert "cwd: holds a NUL" in fleet.refused("submit", plan=plan, cwd="/\0")
        assert "cwd: holds a NUL" in fleet.refused("spawn", task={"command": ["true"]}, cwd="/\0")

        assert fleet.events(ActorFailed) == []
    assert aim.read_text() == "mine"


def test_a_stop_reaches_the_workers_of_the_run(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        submit(fleet, task("leaf", "trap 'echo term; exit 4' TERM; echo on; while :; do sleep 0.01; done"))
        fleet.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(fleet, "demo")))

        done = fleet.done("stop", task="demo")

        assert (done["task"], done["attempt"]) == ("demo", 1)
        assert [e.status for e in fleet.events(TaskStatusChanged, "demo")][-1] == "stopped"
        assert (below(fleet, "demo").root / "spool" / "leaf" / "1" / "stdout").read_text() == "on\nterm\n"
        assert [e.outcome for _, e in come_up(fleet, "demo") if isinstance(e, RunEnded)] == ["interrupted"]


def test_a_run_goes_on_while_its_supervisor_is_killed_and_each_record_comes_once(tmp_path: Path) -> None:
    chatter = f"while [ ! -e go ]; do echo x; sleep 0.02; done; {UNTIL_GO}"
    with up(tmp_path) as killed:
        submit(killed, task("one", chatter), task("two", chatter))
        killed.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(killed, "demo")))
        pid = killed.wait_for(WorkerStarted, "demo").pid
        folder = below(killed, "demo")
        killed.process.kill()
        killed.process.wait()
        with up(tmp_path) as fleet:
            fleet.wait_for(WorkerAdopted, "demo")
            assert is_alive(pid)
            (tmp_path / "go").touch()
            assert fleet.wait_for(WorkerExited, "demo").code == 0

            assert come_up(fleet, "demo") == [(each.seq, each.event) for each in told(folder)]
            assert submit(fleet, task("one", "true")) == "demo-2"
            assert fleet.wait_for(WorkerExited, "demo-2").code == 0


def test_more_runs_can_be_submitted_than_a_plan_may_have_instances(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        instances = fleet.folder.root / "instances"
        instances.mkdir(mode=0o700)
        for number in range(40):  # of runs that have been
            (instances / f"old-{number}").mkdir()

        submit(fleet, task("one", "true"))

        assert fleet.wait_for(WorkerExited, "demo").code == 0


def test_a_run_that_was_to_be_submitted_when_it_was_killed_is_forgotten(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        submit(killed, task("one", "true"))
        killed.wait_for(WorkerExited, "demo")
        (killed.folder.submitted / "demo-2.toml").write_text(task("one", "true"))
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
        with up(tmp_path) as fleet:
            assert sorted(path.name for path in fleet.folder.submitted.iterdir()) == ["demo.json", "demo.toml"]
            assert submit(fleet, task("one", "true")) == "demo-2"
            fleet.wait_for(WorkerExited, "demo-2")


def test_a_killed_run_goes_on_when_it_is_resumed_and_an_ended_one_runs_again(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        submit(fleet, task("one", "echo one >> log"), task("two", f"echo two >> log; {UNTIL_GO}", needs=["one"]))
        fleet.wait_until(lambda: (tmp_path / "log").exists() and "two" in (tmp_path / "log").read_text())
        os.kill(fleet.wait_for(WorkerStarted, "demo").pid, signal.SIGKILL)
        fleet.wait_until(lambda: [e.status for e in fleet.events(TaskStatusChanged, "demo")][-1] == "failed")

        fleet.done("retry", task="demo")
        fleet.wait_until(lambda: any(isinstance(e, RunResumed) for _, e in come_up(fleet, "demo")))
        (tmp_path / "go").touch()
        fleet.wait_until(lambda: [e.status for e in fleet.events(TaskStatusChanged, "demo")][-1] == "succeeded")

        assert (tmp_path / "log").read_text().split() == ["one", "two", "two"]
        assert len({event.run for event in fleet.events(InstanceLinked)}) == 1
        fleet.done("restart", task="demo")
        assert fleet.wait_for(WorkerExited, "demo", 3).code == 0
        assert (tmp_path / "log").read_text().split() == ["one", "two", "two", "one", "two"]
        assert len({event.run for event in fleet.events(InstanceLinked)}) == 2


def test_a_client_of_the_port_does_all_that_there_is_to_do_with_runs(tmp_path: Path) -> None:
    async def use(client: Client) -> None:
        plan = task("leaf", f"echo on; {UNTIL_GO}")
        first = await client.submit(SubmitRun(plan=plan, cwd=str(tmp_path), name="demo.toml"))
        second = await client.spawn_instance(SubmitRun(plan=plan, cwd=str(tmp_path), name="demo.toml"))
        assert (first.task, second.task) == ("demo", "demo-2")
        while not all(each.run for each in (await client.instances()).instances):  # noqa: ASYNC110 - other processes
            await trio.sleep(0.02)
        one, two = (await client.instances()).instances
        assert [(await client.instance(str(each.run))).instance for each in (one, two)] == ["demo", "demo-2"]
        stopped = await client.stop_instance(StopTask(task="demo-2"))
        assert (await client.task(stopped.task)).status == "stopped"
        (tmp_path / "go").touch()
        while (await client.task("demo")).status != "succeeded":  # noqa: ASYNC110 - as above
            await trio.sleep(0.02)
        detail, report = await client.run("demo"), await client.report("demo")
        assert {line.task for line in detail.tasks} == {"demo/leaf"}
        assert [each["id"] for each in json.loads(bytes(report.report))["tasks"]] == ["leaf"]
        with pytest.raises(FleetError, match="it is over already"):
            await client.cancel_run(CancelTask(task="demo"))

    with up(tmp_path):
        ask_port(tmp_path / ".callboard", use)
