"""Topics of events, and the filter that subscribers make of them."""

import pytest
from hypothesis import given

from protocols.events import Event, InstanceLinked, InstanceRecord
from protocols.ids import RunId, TaskId, WorkerId
from protocols.task_events import TaskUnblocked
from protocols.topics import ALL_TOPICS, Filter, topics_of
from tests.made_events import events
from tests.made_fleets import AT, exited, judged, output, run_started, status


@given(events)
def test_every_event_has_topics_that_can_be_asked_for(event: Event) -> None:
    topics = topics_of(event)

    assert topics and topics <= ALL_TOPICS


@pytest.mark.parametrize(
    ("event", "topics"),
    [
        (status("a", "running"), {"task"}),
        (status("a[x]", "failed"), {"task", "subtask", "error"}),
        (status("a", "succeeded"), {"task", "complete"}),
        (status("a", "stopped"), {"task"}),
        (judged("a", "stalled"), {"state", "stuck"}),
        (judged("a", "working"), {"state"}),
        (exited("a", code=1), {"worker", "state", "error"}),
        (exited("a"), {"worker", "state", "complete"}),
        (output("a", length=1), {"log"}),
        (TaskUnblocked(at=AT, task=TaskId("a"), need=TaskId("b"), reason="x"), {"task", "unblocked"}),
        (InstanceLinked(at=AT, worker=WorkerId("a"), attempt=1, run=RunId("x")), {"instance"}),
        (run_started("a"), {"run"}),
    ],
)
def test_an_event_has_the_topics_that_people_look_for_it_under(event: Event, topics: set[str]) -> None:
    assert topics_of(event) == topics


def test_tasks_of_an_instance_are_subtasks() -> None:
    inner = status("a", "succeeded")

    assert topics_of(_below("build", inner)) == topics_of(inner) | {"subtask"}


def test_the_log_of_a_worker_comes_to_those_who_name_it_only() -> None:
    text, other = output("a", length=1), _below("build", output("a", length=1))

    assert not Filter().wants(text, _run)
    assert Filter(topics=frozenset(), workers=frozenset({"a"})).wants(text, _run)
    assert not Filter(workers=frozenset({"a"})).wants(other, _run)
    assert Filter(workers=frozenset({"build/a"})).wants(other, _run)
    assert Filter(workers=None).wants(other, _run)


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        (
            {"."},
            [
                "",
            ],
        ),
        ({"r-"}, [""]),
        ({"build"}, ["build", "build/deep"]),
        ({"r-build"}, ["build", "build/deep"]),
        ({"build/deep", "."}, ["", "build/deep"]),
        ({"other"}, []),
    ],
)
def test_runs_are_named_by_their_ids_or_tasks_and_what_is_below_belongs_to_them(
    runs: set[str], wanted: list[str]
) -> None:
    chosen = Filter(runs=frozenset(runs))
    told: dict[str, Event] = {"": status("a", "running")}
    told |= {path: _below(path, status("a", "running")) for path in ("build", "build/deep")}

    found = [path for path, event in told.items() if chosen.wants(event, _run)]

    assert found == wanted


def _run(path: str) -> RunId:
    return RunId(f"r-{path}")


def _below(path: str, event: Event) -> InstanceRecord:
    assert not isinstance(event, InstanceRecord)
    worker = WorkerId(path.partition("/")[0])
    return InstanceRecord(at=AT, worker=worker, path=path, numbers=(1,), event=event)


@given(events)
def test_a_filter_that_wants_all_wants_every_event(event: Event) -> None:
    everything = Filter(workers=None)

    assert everything.wants_all and everything.wants(event, lambda _: None)
    assert not any(
        each.wants_all
        for each in (Filter(), Filter(workers=None, runs=frozenset()), Filter(topics=frozenset(), workers=None))
    )
