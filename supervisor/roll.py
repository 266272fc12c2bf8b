"""What the actors of a run look up of its tasks. It grows where the plan is standing."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from actors.deadlines import DeadlineCare
from actors.remedies import Care
from protocols.fan_out import planned
from protocols.ids import TaskId, WorkerId
from protocols.markers import Markers
from protocols.plan import Task
from protocols.redaction import Redactor
from protocols.silence import Policy
from supervisor.marker_tables import choose_markers
from supervisor.plans import LoadedPlan
from supervisor.policies import choose_policies
from supervisor.secrets import Secrets

__all__ = ["Roll"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """All of it is found by the tasks of the plan: who stands for items of an output is looked up as its group."""

    heartbeat: float
    redactor: Redactor
    tasks: dict[TaskId, Task] = field(default_factory=dict)
    executables: dict[TaskId, str] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    policies: dict[WorkerId, Policy] = field(default_factory=dict)
    cares: dict[WorkerId, DeadlineCare] = field(default_factory=dict)
    markers: dict[WorkerId, Markers] = field(default_factory=dict)

    @classmethod
    def of(cls, loaded: LoadedPlan, *, heartbeat: float, redactor: Redactor) -> "Roll":
        """``heartbeat``: seconds between two looks at a worker."""
        roll = cls(heartbeat=heartbeat, redactor=redactor)
        roll.add(loaded)
        return roll

    def add(self, loaded: LoadedPlan) -> None:
        """These belong to it too from now on."""
        tasks: Iterable[Task] = loaded.plan.tasks
        self.tasks.update((task.id, task) for task in tasks)
        self.executables.update(loaded.executables)
        self.secrets.update(loaded.secrets)
        self.policies.update(choose_policies(tasks, self.heartbeat))
        self.cares.update((WorkerId(task.id), care) for task in tasks if (care := DeadlineCare.of(task)) is not None)
        self.markers.update(choose_markers(tasks))

    def care(self, worker: WorkerId) -> Care:
        """What is done about it where it stands still."""
        return Care.of(self.tasks[TaskId(planned(worker))])
