"""The end of instances whose whole tree was killed: what they told until then comes up, and their runs get an end."""

from collections.abc import Callable
from pathlib import Path

from actors.instance_place import find_run
from actors.journal_file import read_records
from protocols.events import Event, InstanceLinked
from protocols.ids import TaskId, WorkerId
from protocols.instance_records import wrap
from protocols.layout import FleetFolder
from protocols.states import InstanceLink, RunView
from supervisor.fleets import Fleet, find_fleet

__all__ = ["instance_events"]


def instance_events(folder: FleetFolder, view: RunView, conclude: Callable[[Fleet], object]) -> list[Event]:
    """What the journal of a run lacks of its instances, each of which is concluded first. Nothing of them lives.

    Raise `JournalError`.
    """
    events: list[Event] = []
    for place in _places(folder.root / "instances"):
        task = TaskId(place.name)
        run = find_run(folder.instance(task))
        attempts = view.tasks[task].attempts if task in view.tasks else []
        if run is None or not attempts:
            continue
        below = find_fleet(folder.instance(task).runs, run)
        conclude(below)
        link = view.links.get(task)
        if link is None or link.run != run:
            link = InstanceLink(run)
            linked_at = attempts[-1].starting_at
            events.append(InstanceLinked(at=linked_at, worker=WorkerId(task), attempt=attempts[-1].number, run=run))
        if below.folder.journal.exists():
            events += [wrap(task, record) for record in read_records(below.folder.journal, link.last)]
    return events


def _places(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []
