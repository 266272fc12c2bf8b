"""Callboards that a callboard starts: real processes, from their plans to their ends."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from actors.keeper_process.marks import find_marked
from protocols.events import InstanceLinked, InstanceRecord, RunEnded, RunResumed, RunStopping, WorkerStarted
from protocols.ids import TaskId
from supervisor.locks import hold_lock
from tests.instances import below, come_up, instance, told, write_plan
from tests.keeper_client import is_alive
from tests.running import CALLBOARD, SHORT, callboard, python, resumed, running, task

pytestmark = pytest.mark.deadline(90)  # each is several callboards, one after the other

WAIT = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n"


def once(name: str, script: str = "") -> str:
    """A task that notes each time that it is run."""
    note = f"open('ran', 'a').write('{name}\\n')\n"
    return python(name, note + script)


def test_all_that_instances_write_down_comes_up_in_order_and_once(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", python("one", "print('1')"), instance("itp", "leaf.toml"))
    write_plan(tmp_path / "leaf.toml", python("leaf", "print('leaf')"))

    with running(tmp_path, instance("build", "sub.toml")) as run:
        run.finish()

        sub, leaf = told(below(run, "build")), told(below(run, "build", "itp"))
        assert come_up(run, "build") == [
            (each.seq, each.event) for each in sub if not isinstance(each.event, InstanceRecord)
        ]
        assert come_up(run, "build/itp") == [(each.seq, each.event) for each in leaf]
        through = [each.event.numbers[0] for each in run.records() if isinstance(each.event, InstanceRecord)]
        assert through == [each.seq for each in sub]
        assert [each.id for each in run.report.tasks] == ["build", "build/one", "build/itp", "build/itp/leaf"]
        assert run.report.totals.statuses == {"succeeded": 4}
        assert callboard(tmp_path, "logs", "", "build/itp/leaf").stdout == "leaf\n"
        status = json.loads(callboard(tmp_path, "status", "--json").stdout)
        assert [each["task"] for each in status["tasks"]] == ["build", "build/one", "build/itp", "build/itp/leaf"]
        assert "build/itp/leaf: succeeded in" in run.stdout.decode()


def test_the_report_of_an_instance_is_its_output(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", python("one", ""), task("two", "exit 3", allow_failure=True))
    use = task("use", "echo {{ outputs.build.tasks.one.status }} {{ outputs.build.tasks.two.reason }}", needs=["build"])

    with running(tmp_path, instance("build", "sub.toml", output={"report": True}), use) as run:
        run.finish()

        assert run.spool("use") == b"succeeded exit code 3\n"


def test_a_killed_instance_is_restarted_and_goes_on_where_it_was(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", once("one"), once("two", WAIT) + 'needs = ["one"]\n')

    with running(tmp_path, instance("build", "sub.toml", retries=1, backoff="10ms"), settings=SHORT) as run:
        run.wait_until(lambda: (tmp_path / "ran").exists() and "two" in (tmp_path / "ran").read_text())
        os.kill(run.wait_for(WorkerStarted, "build").pid, signal.SIGKILL)
        run.wait_for(WorkerStarted, "build", 2)
        (tmp_path / "go").touch()
        run.finish()

        assert (tmp_path / "ran").read_text().split() == ["one", "two", "two"]
        folder = below(run, "build")
        assert come_up(run, "build") == [(each.seq, each.event) for each in told(folder)]
        assert len({event.run for event in run.events(InstanceLinked)}) == 1
        assert [event for _, event in come_up(run, "build") if isinstance(event, RunResumed)]
        assert run.task("build").status == "succeeded"


def test_a_killed_root_goes_on_with_its_instances(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", once("one"), instance("itp", "leaf.toml", needs=["one"]))
    write_plan(tmp_path / "leaf.toml", once("three"), once("two", WAIT) + 'needs = ["three"]\n')
    with running(tmp_path, instance("build", "sub.toml")) as run:
        run.wait_until(lambda: (tmp_path / "ran").exists() and "two" in (tmp_path / "ran").read_text())
        assert run.fleet.identity is not None
        run.signal(signal.SIGKILL)
        _wait_until_nothing_is_left(run.fleet.identity.fleet)

        (tmp_path / "go").touch()
        with resumed(tmp_path) as again:
            again.finish()

            assert sorted((tmp_path / "ran").read_text().split()) == ["one", "three", "two", "two"]
            sub, leaf = told(below(again, "build")), told(below(again, "build", "itp"))
            through = [each.event.numbers[0] for each in again.records() if isinstance(each.event, InstanceRecord)]
            assert through == [each.seq for each in sub]
            assert come_up(again, "build/itp") == [(each.seq, each.event) for each in leaf]
            assert again.report.totals.statuses == {"succeeded": 5}


def _wait_until_nothing_is_left(fleet: str, patience: float = 25.0) -> None:
    deadline = time.monotonic() + patience
    while left := find_marked(fleet):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_a_killed_root_leaves_nothing_of_three_levels_and_twenty_workers(tmp_path: Path) -> None:
    """5 s are the promise; the machine of the tests may have other things to do."""
    workers = [python(f"w{number}", "import time\ntime.sleep(600)") for number in range(20)]
    wide = "[defaults]\nconcurrency = 20\n"
    write_plan(tmp_path / "one.toml", wide, instance("b", "two.toml"))
    write_plan(tmp_path / "two.toml", wide, instance("c", "three.toml"))
    write_plan(tmp_path / "three.toml", wide, *workers)

    with running(tmp_path, wide, instance("a", "one.toml")) as run:
        run.wait_until(lambda: len([e for _, e in come_up(run, "a/b/c") if isinstance(e, WorkerStarted)]) == 20)
        pids = [event.pid for _, event in come_up(run, "a/b/c") if isinstance(event, WorkerStarted)]
        assert all(map(is_alive, pids))
        assert run.fleet.identity is not None
        run.signal(signal.SIGKILL)
        _wait_until_nothing_is_left(run.fleet.identity.fleet)

        assert not any(map(is_alive, pids))


def test_a_stop_of_the_root_reaches_an_instance_by_its_socket(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", instance("itp", "leaf.toml"))
    write_plan(tmp_path / "leaf.toml", python("leaf", "print('up', flush=True)\nimport time\ntime.sleep(600)"))

    with running(tmp_path, instance("build", "sub.toml")) as run:
        run.wait_until(lambda: any(isinstance(e, WorkerStarted) for _, e in come_up(run, "build/itp")))
        run.signal(signal.SIGTERM)
        run.finish(130)

        for path in ("build", "build/itp"):
            events = [event for _, event in come_up(run, path)]
            first = next(event for event in events if isinstance(event, RunStopping))
            assert first.reason == "the callboard that started it stops it"
            assert [event.outcome for event in events if isinstance(event, RunEnded)] == ["interrupted"]
        assert {each.id: each.status for each in run.report.tasks} == dict.fromkeys(
            ("build", "build/itp", "build/itp/leaf"), "stopped"
        )


def test_a_link_that_is_cut_loses_nothing_and_tells_nothing_twice(tmp_path: Path) -> None:
    """Its socket is removed, and it is stopped and continued, while its workers talk."""
    chatter = "import pathlib, time\nwhile not pathlib.Path('go').exists(): print('x', flush=True); time.sleep(0.02)\n"
    write_plan(tmp_path / "sub.toml", *(python(f"w{number}", chatter) for number in range(3)))

    with running(tmp_path, instance("build", "sub.toml"), settings="[stream]\nflush_interval = '20ms'\n") as run:
        pid = run.wait_for(WorkerStarted, "build").pid
        folder = below(run, "build")
        for _ in range(3):
            before = len(come_up(run, "build"))
            run.wait_until(lambda before=before: len(come_up(run, "build")) > before + 20)  # type: ignore[misc]
            folder.control_socket.unlink(missing_ok=True)
            os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
        (tmp_path / "go").touch()
        run.finish()

        assert come_up(run, "build") == [(each.seq, each.event) for each in told(folder)]


def test_a_plan_of_another_task_is_run_and_its_mistakes_are_told_to_that_one(tmp_path: Path) -> None:
    """The first plan is broken: the next attempt of its planner knows why."""
    script = (
        "import os, sys\nname = 'made' if os.environ['WHY'] else 'mad'\n"
        "open('why', 'a').write(os.environ['WHY'])\n"
        "command = ['echo', 'x'] if os.environ['WHY'] else []\n"
        "open('made.toml', 'w').write(f'[[tasks]]\\nid = \"t\"\\ncommand = {command}\\n')\n"
    )
    planner = python(
        "planner",
        script,
        output={"file": "made.toml", "plan": True},
        retries=1,
        backoff="10ms",
        env={"WHY": "{{ last_failure }}"},
    )
    build = '[[tasks]]\nid = "build"\ninstance = { from = "planner" }\n'

    with running(tmp_path, planner, build) as run:
        run.finish()

        assert (
            'plan: tasks[0].command: empty; write what to run, such as ["make", "test"]'
            in (tmp_path / "why").read_text()
        )
        assert [attempt.reason for attempt in run.task("planner").attempts] == ["output", "exit"]
        assert run.task("build/t").status == "succeeded"


def test_mistakes_in_the_plan_of_an_instance_are_told_before_anything_starts(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("one", ["no-such-command"], durable=True), instance("two", "none.toml"))
    write_plan(tmp_path / "plan.toml", instance("build", "sub.toml", cwd="."))

    said = callboard(tmp_path, "run", "plan.toml", code=2).stderr.splitlines()

    start = f"error: plan.toml: tasks[0].instance.plan: {tmp_path}/sub.toml: "
    assert said == [
        f'{start}tasks[0].command: no command "no-such-command" on PATH; install it, or correct the name',
        f"{start}tasks[0].durable: nothing of an instance goes on without its callboard; remove this key",
        f"{start}tasks[1].instance.plan: {tmp_path}/none.toml: no such file; correct the path",
    ]
    assert not (tmp_path / ".callboard").exists()


def test_a_plan_that_runs_itself_is_refused_below_the_third_level(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.toml", instance("again", "plan.toml"))

    said = callboard(tmp_path, "check", "plan.toml", code=2).stderr

    step = f"tasks[0].instance.plan: {tmp_path}/plan.toml: "
    why = "no more levels of instances are left here; run this plan without it, or give depth further up"
    assert said == f"error: plan.toml: {step * 3}tasks[0].instance: {why}\n"


@pytest.mark.parametrize("change", [{"depth": 9}, {"fan_out": 10**6}, {"grace": None}])
def test_an_instance_that_is_handed_more_than_there_is_refuses_to_run(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """Whoever writes that file by hand."""
    write_plan(tmp_path / "sub.toml", python("one", WAIT), instance("two", "leaf.toml"))
    write_plan(tmp_path / "leaf.toml", python("leaf", WAIT))
    with running(tmp_path, instance("build", "sub.toml")) as run:
        run.wait_until(lambda: any(isinstance(event, WorkerStarted) for _, event in come_up(run, "build/two")))
        path = below(run, "build").instance(TaskId("two")).handover
        handover = json.loads(path.read_text())
        path.write_text(json.dumps({**handover, "bounds": {**handover["bounds"], **change}}))

        said = callboard(tmp_path, "run", "leaf.toml", code=2, before=("env", f"CALLBOARD_INSTANCE={path}")).stderr

        assert said == f"error: {path}: allows more than the callboard that wrote it may itself; leave it alone\n"
        (tmp_path / "go").touch()
        run.finish()


def test_what_an_instance_says_of_its_end_is_the_reason_above(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("one", "exit 3"), python("two", ""))

    with running(tmp_path, instance("build", "sub.toml")) as run:
        run.finish(1)

        assert run.task("build").reason == "its run failed (1 succeeded, 1 failed); exit code 1"
        assert run.task("build/one").reason == "exit code 3"


def test_a_dead_tree_is_concluded_from_its_root(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", instance("itp", "leaf.toml"))
    write_plan(tmp_path / "leaf.toml", python("done", ""), python("leaf", "import time\ntime.sleep(600)"))
    with running(tmp_path, instance("build", "sub.toml")) as run:
        run.wait_until(lambda: any(isinstance(e, WorkerStarted) for _, e in come_up(run, "build/itp")))
        assert run.fleet.identity is not None
        run.signal(signal.SIGKILL)
        _wait_until_nothing_is_left(run.fleet.identity.fleet)

        # Whoever looks at a part of it changes nothing: it could still be taken up.
        callboard(tmp_path, "logs", "", "build/itp/leaf")
        assert not any(isinstance(each.event, RunEnded) for each in told(below(run, "build", "itp")))
        status = json.loads(callboard(tmp_path, "status", "--json").stdout)

        assert {each["task"]: each["status"] for each in status["tasks"]} == {
            "build": "stopped",
            "build/itp": "stopped",
            "build/itp/done": "succeeded",
            "build/itp/leaf": "stopped",
        }
        assert come_up(run, "build/itp") == [(each.seq, each.event) for each in told(below(run, "build", "itp"))]
        assert isinstance(told(below(run, "build", "itp"))[-1].event, RunEnded)


def test_an_instance_ends_at_its_timeout_with_all_that_it_runs(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", python("one", "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"))

    with running(tmp_path, instance("build", "sub.toml", timeout="4s")) as run:
        run.finish(1)

        assert run.task("build").status == "timed-out"
        assert run.task("build/one").status in {"stopped", "timed-out"}  # it has the same timeout, or what is left
        assert not is_alive(int(callboard(tmp_path, "logs", "", "build/one").stdout))


def test_a_run_that_another_callboard_holds_is_told(tmp_path: Path) -> None:
    """An instance is killed; before the next attempt somebody has taken up its run."""
    write_plan(tmp_path / "sub.toml", python("one", WAIT))
    with running(tmp_path, instance("build", "sub.toml", retries=1, backoff="3s")) as run:
        folder = below(run, "build")
        run.wait_until(lambda: any(isinstance(event, WorkerStarted) for _, event in come_up(run, "build")))
        os.kill(run.wait_for(WorkerStarted, "build").pid, signal.SIGKILL)
        with hold_lock(folder.lock, patience=20) as held:
            assert held
            run.finish(1)

        assert run.attempt("build", 2).error.startswith(f"run {folder.root.name}: its supervisor lives (pid ")


def test_an_instance_may_not_stop_the_run_that_started_it(tmp_path: Path) -> None:
    """Its workers neither: they are of its tree."""
    script = f"{CALLBOARD} stop --state {tmp_path}/.callboard 2>&1; true"
    write_plan(tmp_path / "sub.toml", task("one", script))

    with running(tmp_path, instance("build", "sub.toml")) as run:
        run.finish()

        said = callboard(tmp_path, "logs", "", "build/one").stdout
        assert "an instance may not stop the run that started it; that is for people" in said


def test_an_instance_whose_callboard_is_stopped_for_long_loses_nothing(tmp_path: Path) -> None:
    """A connection that is not read is given up: there is another one behind it."""
    chatter = "import pathlib\nwhile not pathlib.Path('go').exists(): print('x' * 100, flush=True)\n"
    write_plan(tmp_path / "sub.toml", *(python(f"w{number}", chatter) for number in range(3)))

    with running(tmp_path, instance("build", "sub.toml"), settings="[stream]\nflush_interval = '10ms'\n") as run:
        folder = below(run, "build")
        run.wait_until(lambda: any(isinstance(event, WorkerStarted) for _, event in come_up(run, "build")))
        run.signal(signal.SIGSTOP)
        before = len(told(folder))
        deadline = time.monotonic() + 25
        while len(told(folder)) < before + 1000 and time.monotonic() < deadline:
            time.sleep(0.05)
        run.signal(signal.SIGCONT)
        (tmp_path / "go").touch()
        run.finish()

        assert come_up(run, "build") == [(each.seq, each.event) for each in told(folder)]


def test_there_may_be_an_instance_for_each_item_of_an_output(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("one", "echo $ITEM", pass_env=["ITEM"]))
    planner = python("planner", 'print(\'["A-1", "B 2"]\')', output={"stdout_json": True})
    build = instance("build", "sub.toml", for_each={"from": "planner"}, env={"ITEM": "{{ item }}"})

    with running(tmp_path, planner, build) as run:
        run.finish()

        assert callboard(tmp_path, "logs", "", "build[A-1]/one").stdout == "A-1\n"
        assert callboard(tmp_path, "logs", "", "build[B%202]/one").stdout == "B 2\n"


def test_no_more_items_become_instances_than_there_may_be(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", instance("itp", "leaf.toml", for_each={"from": "planner"}), _numbers(3))
    write_plan(tmp_path / "leaf.toml", task("leaf", "true"))
    build = '[[tasks]]\nid = "build"\ninstance = { plan = "sub.toml", fan_out = 2 }\n'

    with running(tmp_path, build) as run:
        run.finish(1)

        items = [each for each in run.report.tasks if each.id.startswith("build/itp[") and each.id.count("/") == 1]
        assert sorted(each.status for each in items) == ["failed", "succeeded", "succeeded"]
        (failed,) = (each for each in items if each.status == "failed")
        assert failed.reason == "not started: this run has started 2 instances, and may have 2 (fan_out)"


def _numbers(count: int) -> str:
    return python("planner", f"print(list(range({count})))", output={"stdout_json": True})
