"""Runs of instances for tests: where they are on disk, and what came of them above."""

from pathlib import Path

from actors.instance_place import find_run
from actors.journal_file import read_records
from protocols.events import InstanceRecord, OwnEvent, Record
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from tests.running import RunningPlan, table

__all__ = ["below", "come_up", "instance", "told", "write_plan"]


def instance(name: str, plan: str, **keys: object) -> str:
    """A task that runs the plan of this file."""
    return table("[[tasks]]", {"id": name, "instance": {"plan": plan}, **keys})


def write_plan(path: Path, *parts: str) -> None:
    path.write_text("\n".join(parts))


def below(run: RunningPlan, *way: str) -> FleetFolder:
    """The run of an instance, once it has begun."""
    folder = run.folder
    for step in way:
        place = folder.instance(TaskId(step))
        run.wait_until(lambda place=place: find_run(place) is not None)  # type: ignore[misc] # the type of a default
        found = find_run(place)
        assert found is not None
        folder = place.run(found)
    return folder


def told(folder: FleetFolder) -> list[Record]:
    """All that an instance has written down."""
    return [*read_records(folder.journal)]


def come_up(run: RunningPlan, path: str) -> list[tuple[int, OwnEvent]]:
    """What the root has of an instance: numbers there, and events."""
    records = [record.event for record in run.records()]
    return [
        (each.numbers[-1], each.event) for each in records if isinstance(each, InstanceRecord) and each.path == path
    ]
