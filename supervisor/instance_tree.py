"""From names such as ``build/itp-7`` to the run in which that task is, down the folders of instances."""

from actors.instance_place import find_run
from protocols.errors import InputError
from protocols.ids import RunId, TaskId
from protocols.instance_records import split
from protocols.layout import FleetFolder
from protocols.wording import did_you_mean, quote
from supervisor.fleets import Fleet, find_fleet

__all__ = ["descend", "find_task", "place_of"]


def find_task(fleet: Fleet, name: str) -> tuple[Fleet, TaskId]:
    """The fleet that has the task, and how it is called there. Raise `InputError` with what there is."""
    way, task = split(name)
    for step in way:
        place = fleet.folder.instance(step)
        known = sorted(each.name for each in place.root.parent.glob("*"))
        run = find_run(place) if step in known else None
        if not known:
            return fleet, TaskId(name)  # of which it has none either
        if run is None:
            guess = did_you_mean(step, known) or f"; it has {', '.join(known)}"
            raise InputError(f"task {quote(name)}: run {fleet.name} has no instance {quote(step)}{guess}")
        fleet = find_fleet(place.runs, run)
    return fleet, task


def place_of(folder: FleetFolder, name: str) -> tuple[FleetFolder, TaskId]:
    """The same where it is known to be there, without a look at more than names."""
    way, task = split(name)
    for step in way:
        place = folder.instance(step)
        folder = place.run(find_run(place) or RunId("-"))
    return folder, task


def descend(folder: FleetFolder, way: tuple[tuple[TaskId, RunId], ...]) -> FleetFolder:
    for task, run in way:
        folder = folder.instance(task).run(run)
    return folder
