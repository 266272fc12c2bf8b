"""Where everything of a fleet lies on disk."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.kinds import Source, Stream

__all__ = ["FleetFolder", "InstanceFolder", "StateFolder", "streams_of"]

_STREAMS: dict[Source, tuple[Stream, ...]] = {
    "pipe": ("stdout", "stderr"),
    "pty": ("terminal",),
    "logfile": ("stdout", "stderr"),
    "tmux": ("terminal",),
    "session": ("session",),
    "instance": ("stdout", "stderr"),
}


def streams_of(source: Source, *, log: bool = False, command: bool = True) -> tuple[Stream, ...]:
    """Each of these is one file of an attempt, the one that people mean first.

    ``log``: a file is followed; ``command``: something was started.
    """
    return (*(_STREAMS[source] if command else ()), *(("log",) if log else ()))


@dataclass(frozen=True, slots=True)
class StateFolder:
    """``STATE``: what ``callboard up`` keeps there beside the runs."""

    root: Path

    @property
    def up_lock(self) -> Path:
        """Held with ``flock`` by the living ``callboard up``; holds its pid as text."""
        return self.root / "up.lock"

    @property
    def up_log(self) -> Path:
        return self.root / "up.log"

    @property
    def port_file(self) -> Path:
        """Where ``callboard up`` is reached, while it lives (`protocols.port_file`). Mode 0600."""
        return self.root / "port.json"

    @property
    def port_socket(self) -> Path:
        return self.root / "port.sock"

    @property
    def token(self) -> Path:
        """The token with which everything may be done. Mode 0600."""
        return self.root / "token"

    @property
    def names(self) -> frozenset[str]:
        """Of all these, and of older logs."""
        paths = (self.up_lock, self.up_log, self.port_file, self.port_socket, self.token)
        return frozenset(path.name for path in paths) | {f"{self.up_log.name}.{number}" for number in range(1, 10)}


@dataclass(frozen=True, slots=True)
class InstanceFolder:
    """``RUN/instances/TASK``: what a callboard keeps of one that it starts."""

    root: Path

    @property
    def runs(self) -> Path:
        """The state folder of the instance."""
        return self.root / "runs"

    @property
    def handover(self) -> Path:
        """``handover.json``, mode 0600: what the instance is told."""
        return self.root / "handover.json"

    @property
    def plan(self) -> Path:
        """The plan that another task gave it."""
        return self.root / "plan.toml"

    def run(self, run: RunId) -> "FleetFolder":
        return FleetFolder(self.runs / run)


@dataclass(frozen=True, slots=True)
class FleetFolder:
    """The folder of one fleet: ``STATE/RUN``, mode 0700. Nothing here touches the disk."""

    root: Path

    @property
    def identity(self) -> Path:
        """``fleet.json``: what never changes (see `supervisor.fleets`). Its presence makes the folder a fleet."""
        return self.root / "fleet.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite3"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.sqlite3"

    @property
    def commands(self) -> Path:
        """What was sent to its workers, once there was something."""
        return self.root / "commands.sqlite3"

    @property
    def lock(self) -> Path:
        """Held with ``flock`` by the living supervisor; holds its pid as text."""
        return self.root / "lock"

    @property
    def keeper_lock(self) -> Path:
        """Held with ``flock`` by the living keeper; holds its pid as text."""
        return self.root / "keeper.lock"

    @property
    def keeper_socket(self) -> Path:
        return self.root / "keeper.sock"

    @property
    def keeper_log(self) -> Path:
        return self.root / "keeper.log"

    @property
    def log(self) -> Path:
        """What a developer of callboard wants to see; what a user wants is in the journal."""
        return self.root / "supervisor.log"

    @property
    def tmux(self) -> Path:
        """The folder of the tmux server of this fleet: its configuration, its output, and mostly its socket."""
        return self.root / "tmux"

    @property
    def servers(self) -> Path:
        """A folder for each agent server of this fleet."""
        return self.root / "servers"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    @property
    def plan(self) -> Path:
        """A copy of the plan as it was when the run began."""
        return self.root / "plan.toml"

    @property
    def submitted(self) -> Path:
        """The tasks that a standing fleet was given, each in ``TASK.json``."""
        return self.root / "submitted"

    @property
    def manifest(self) -> Path:
        """A copy of the manifest that the plan names, as it was when the run began."""
        return self.root / "manifest.json"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_markdown(self) -> Path:
        return self.root / "report.md"

    def earlier(self, report: Path, number: int) -> Path:
        """Where a report is kept once the run has been retried; from 1 on."""
        return report.with_suffix(f".{number}{report.suffix}")

    def instance(self, task: TaskId) -> "InstanceFolder":
        """Of the callboard that this task is."""
        return InstanceFolder(self.root / "instances" / task)

    @property
    def secrets(self) -> Path:
        """By what the secrets of its workers are known again where their output is shown."""
        return self.root / "secrets.json"

    @property
    def workspaces(self) -> Path:
        """The places that were made for tasks, each called like its task."""
        return self.root / "workspaces"

    @property
    def space_records(self) -> Path:
        """What each of them is, as ``TASK.json``; no task begins with a dot."""
        return self.workspaces / ".records"

    def workspace(self, task: TaskId) -> Path:
        return self.workspaces / task

    def space_record(self, task: TaskId) -> Path:
        return self.space_records / f"{task}.json"

    def task_log(self, task: TaskId) -> Path:
        """All that happened to this task, written with the report."""
        return self.root / "tasks" / task / "session-log.json"

    def attempt(self, worker: WorkerId, attempt: int) -> Path:
        return self.root / "spool" / worker / str(attempt)

    def spool(self, worker: WorkerId, attempt: int, stream: Stream) -> Path:
        """The exact bytes that the worker wrote to this stream, nothing added."""
        return self.attempt(worker, attempt) / stream

    def output(self, worker: WorkerId, attempt: int) -> Path:
        """A copy of what this attempt gave to others."""
        return self.attempt(worker, attempt) / "output"

    def session_events(self, worker: WorkerId, attempt: int) -> Path:
        """Of an attempt that is a session: what its server said (`protocols.session_entries`)."""
        return self.attempt(worker, attempt) / "session-events.json"

    def last_message(self, worker: WorkerId, attempt: int) -> Path:
        """What the agent said last, where that is what the task gives to others."""
        return self.attempt(worker, attempt) / "last-message"

    def summary(self, worker: WorkerId, attempt: int) -> Path:
        """What became of the tasks of an instance, where that is what it gives to others."""
        return self.attempt(worker, attempt) / "summary.json"

    def schema(self, path: str) -> Path:
        """A copy of this JSON Schema, as it was when the run began."""
        return self.root / "schemas" / hashlib.sha256(os.fsencode(path)).hexdigest()

    def status(self, attempt: AttemptId) -> Path:
        """The keeper's status file of one attempt."""
        return self.root / "status" / attempt
