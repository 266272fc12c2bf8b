"""What sessions of a run wait for, as its records tell it."""

from protocols.events import AttemptStarting, Event, InstanceLinked, InstanceRecord, Record, RunStarted, WorkerExited
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.open_permissions import open_permissions
from protocols.session_events import SessionPermission
from protocols.states import RunView

__all__: list[str] = []

W = WorkerId("a")
BEGUN: tuple[Event, ...] = (
    RunStarted(at=1.0, run=RunId("r"), plan="p", tasks=(TaskId("a"),), pid=1, version="1"),
    AttemptStarting(at=2.0, worker=W, attempt=1, id=AttemptId("x"), argv=(), cwd="/", source="session"),
)


def _permission(name: str, state: str, at: float = 3.0) -> SessionPermission:
    event = SessionPermission(
        at=at, worker=W, attempt=1, session="ses", id=name, state="asked", tool="bash", patterns=("ls",)
    )
    return (
        event
        if state == "asked"
        else SessionPermission(at=at, worker=W, attempt=1, session="ses", id=name, state="replied", reply="once")
    )


def _view(*events: Event) -> RunView:
    view = RunView()
    for number, event in enumerate(events, 1):
        view.apply(Record(number, event))
    return view


def test_a_permission_is_open_until_somebody_replies() -> None:
    asked = (*BEGUN, _permission("one", "asked", 4.0), _permission("two", "asked", 3.0))

    found = open_permissions(_view(*asked))
    assert [(each.task, each.attempt, each.permission, each.tool, each.patterns) for each in found] == [
        ("a", 1, "two", "bash", ("ls",)),
        ("a", 1, "one", "bash", ("ls",)),
    ]
    assert [each.permission for each in open_permissions(_view(*asked, _permission("two", "replied")))] == ["one"]


def test_an_attempt_that_has_ended_waits_for_nothing() -> None:
    exited = WorkerExited(
        at=5.0, worker=W, attempt=1, code=0, signal=None, reason="exit", started_at=2.0, ended_at=5.0,
        stdout_bytes=0, stderr_bytes=0,
    )  # fmt: skip

    assert open_permissions(_view(*BEGUN, _permission("one", "asked"), exited)) == []


def test_what_an_instance_waits_for_has_the_path_of_its_task() -> None:
    above = (
        RunStarted(at=1.0, run=RunId("q"), plan="p", tasks=(TaskId("build"),), pid=1, version="1"),
        InstanceLinked(at=2.0, worker=WorkerId("build"), attempt=1, run=RunId("r")),
    )
    below = [
        InstanceRecord(at=event.at, worker=WorkerId("build"), path="build", numbers=(number,), event=event)
        for number, event in enumerate((*BEGUN, _permission("one", "asked")), 1)
        if not isinstance(event, InstanceRecord)
    ]

    assert [each.task for each in open_permissions(_view(*above, *below))] == ["build/a"]
