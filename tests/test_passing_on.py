"""A command for a task of an instance reaches it, through as many callboards as there are on the way."""

from pathlib import Path

from protocols.events import InstanceRecord, TaskStatusChanged, WorkerStarted
from tests.running import table, task
from tests.standing_fleet import Up, up

_INNER = task("lint", ["sleep", "1000"]) + task("test", ["sleep", "1000"])


def _wait(fleet: Up, path: str, name: str, count: int = 1) -> None:
    """Until a worker of an instance has started so often."""

    def has_started() -> bool:
        found = [event.event for event in fleet.events(InstanceRecord) if event.path == path]
        return sum(isinstance(event, WorkerStarted) and event.worker == name for event in found) >= count

    fleet.wait_until(has_started)


def test_a_task_of_a_submitted_run_is_stopped_restarted_and_told_apart_by_its_path(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.done("submit", plan=_INNER, cwd=str(tmp_path), name="build.toml")
        _wait(fleet, "build", "lint")
        _wait(fleet, "build", "test")

        restarted = fleet.done("restart", task="build/lint")
        stopped = fleet.done("stop", task="build/test", grace=0)
        told = [
            event.event
            for event in (record.event for record in fleet.records() if record.seq <= stopped["seq"])
            if isinstance(event, InstanceRecord)
        ]

        assert (restarted["task"], restarted["attempt"]) == ("build/lint", 2)
        assert (stopped["task"], stopped["attempt"]) == ("build/test", 1)
        ends = [event for event in told if isinstance(event, TaskStatusChanged) and event.task == "test"]
        assert ends[-1].status == "stopped"
        assert 'instance "build": task "tset": there is none in this run' in fleet.refused("stop", task="build/tset")
        assert fleet.refused("retry", task="build/lint") == 'instance "build": task "lint": it is running'
        assert fleet.done("stop", task="build", grace=0)["task"] == "build"


def test_it_reaches_an_instance_of_an_instance(tmp_path: Path) -> None:
    (tmp_path / "inner.toml").write_text(_INNER)
    with up(tmp_path) as fleet:
        outer = table("[[tasks]]", {"id": "deep", "instance": {"plan": "inner.toml"}})
        fleet.done("submit", plan=outer, cwd=str(tmp_path), name="outer.toml")
        _wait(fleet, "outer/deep", "lint")

        stopped = fleet.done("stop", task="outer/deep/lint", grace=0)

        assert stopped["task"] == "outer/deep/lint"
        assert fleet.done("stop", task="outer", grace=0)["task"] == "outer"


def test_below_a_task_that_is_no_instance_there_is_nothing(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=["sleep", "1000"])

        assert "it is no instance that has begun" in fleet.refused("stop", task="a/b")
        assert 'task "x": there is none' in fleet.refused("stop", task="x/b")
