"""The tasks of a run and of its instances, as one tree."""

from protocols.events import Event, InstanceLinked, InstanceRecord, OwnEvent, Record
from protocols.ids import RunId, TaskId, WorkerId
from protocols.states import RunView
from protocols.task_tree import count_tree, walk
from tests.made_fleets import AT, run_started, started, starting, status


def _below(path: str, *events: OwnEvent) -> list[Event]:
    worker = WorkerId(path.partition("/")[0])
    return [InstanceRecord(at=AT, worker=worker, path=path, numbers=(1,), event=event) for event in events]


def _linked(task: str, run: str) -> InstanceLinked:
    return InstanceLinked(at=AT, worker=WorkerId(task), attempt=1, run=RunId(run))


def _view(*events: Event) -> RunView:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    return view


def _tree(view: RunView) -> dict[str, str]:
    return {leaf.name: leaf.task.status for leaf in walk(view)}


_BUILD: list[Event] = [
    run_started("build", "after"),
    starting("build"),
    status("build", "running"),
    _linked("build", "r1"),
]
_SUB: list[Event] = _below(
    "build", run_started("one", "itp"), starting("itp"), status("itp", "running"), _linked("itp", "r2")
)
_LEAF: list[Event] = _below(
    "build/itp", run_started("leaf"), starting("leaf"), started("leaf"), status("leaf", "running")
)


def test_tasks_of_an_instance_stand_behind_the_task_that_it_is() -> None:
    view = _view(*_BUILD, *_SUB, *_LEAF)

    assert list(_tree(view)) == ["build", "build/one", "build/itp", "build/itp/leaf", "after"]
    assert count_tree(view) == {"running": 3, "pending": 2}
    assert [leaf.way for leaf in walk(view)][3] == (
        (TaskId("build"), view.instances["build"].run),
        (TaskId("itp"), view.instances["build/itp"].run),
    )


def test_what_an_instance_left_open_at_its_end_is_stopped() -> None:
    view = _view(*_BUILD, *_SUB, *_LEAF, status("build", "failed"))

    assert _tree(view) == {
        "build": "failed",
        "build/one": "stopped",
        "build/itp": "stopped",
        "build/itp/leaf": "stopped",
        "after": "pending",
    }


def test_an_instance_that_begins_anew_has_none_of_the_tasks_that_it_had() -> None:
    view = _view(*_BUILD, *_SUB, *_LEAF, _linked("build", "r3"))

    assert list(_tree(view)) == ["build", "after"]
    assert view.links[TaskId("build")].last == 0


def test_one_that_goes_on_with_its_run_keeps_them() -> None:
    view = _view(*_BUILD, *_SUB, *_LEAF, _linked("build", "r1"))

    assert "build/itp/leaf" in _tree(view)
    assert view.links[TaskId("build")].last == 1


def test_the_progress_of_an_instance_is_that_of_its_tasks() -> None:
    view = _view(*_BUILD, *_SUB, *_below("build", status("one", "succeeded")))

    progress = view.tasks[TaskId("build")].attempts[0].progress
    assert progress is not None
    assert (progress.fraction, progress.label) == (0.5, "1 succeeded, 1 running")
