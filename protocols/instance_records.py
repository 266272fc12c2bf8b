"""The records of an instance on their way up: wrapped with the path of the instance, each taken once and in order."""

from protocols.events import InstanceRecord, Record
from protocols.ids import TaskId, WorkerId

__all__ = ["join", "split", "wrap"]


def wrap(task: TaskId, record: Record) -> InstanceRecord:
    """A record of the instance that this task is. What came from below that keeps the numbers that it has there."""
    event = record.event
    if isinstance(event, InstanceRecord):
        path, numbers, inner = join(task, event.path), (record.seq, *event.numbers), event.event
    else:
        path, numbers, inner = str(task), (record.seq,), event
    return InstanceRecord(at=event.at, worker=WorkerId(task), path=path, numbers=numbers, event=inner)


def join(path: str, name: str) -> str:
    """The name of something in the instance of this path; of the run itself, where that is empty."""
    return f"{path}/{name}" if path else name


def split(name: str) -> tuple[tuple[TaskId, ...], TaskId]:
    """The instances on the way to a task, and its own id there."""
    *way, last = name.split("/")
    return tuple(TaskId(each) for each in way), TaskId(last)
