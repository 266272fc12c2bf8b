"""What can be read of a fleet at its port: of its picture, and of its files."""

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import trio

from actors.command_reading import get_command, list_commands
from actors.event_reading import read_events
from actors.output_part import read_output
from actors.picture import Picture
from protocols.attempt_view import AttemptView
from protocols.layout import FleetFolder
from protocols.open_permissions import open_permissions
from protocols.openrpc import openrpc_document
from protocols.peer import Peer
from protocols.port_commands import CommandLine, CommandList, CommandListParams, CommandParams, PermissionList
from protocols.port_params import InstanceParams, OutputParams, ReadParams, RunParams, TaskListParams, TaskParams
from protocols.port_results import (
    Health,
    InstanceLine,
    InstanceList,
    Output,
    ReadResult,
    RunDetail,
    RunList,
    RunReport,
    SessionLine,
    SessionList,
    SystemInfo,
    TaskList,
    WorkerLine,
    WorkerList,
)
from protocols.port_view import (
    ROOT,
    UnknownNameError,
    find_leaf,
    find_run,
    list_instances,
    list_runs,
    list_sessions,
    list_tasks,
    list_workers,
)
from protocols.redaction import Redactor
from protocols.states import RunView
from protocols.task_tree import count_tree, walk
from protocols.wording import quote

__all__ = ["IN_MEMORY", "FleetReader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReader:
    """Every method raises `UnknownNameError` where nothing is called so."""

    folder: FleetFolder
    picture: Picture
    redactor_of: Callable[[FleetFolder], Redactor]
    """By what the secrets of a run are known. It blocks."""
    now: Callable[[], float] = time.time

    async def read(self, method: str, params: Any, peer: Peer) -> Any:
        """The result of a method of the port that only reads, whose ``params`` are of its type."""
        if method == "system.info":
            return self.info(peer)
        answer = _READS[method](self, params)
        return await answer if isinstance(answer, Awaitable) else answer

    @property
    def view(self) -> RunView:
        return self.picture.view

    def info(self, peer: Peer) -> SystemInfo:
        view = self.view
        return SystemInfo(
            run=view.run,
            version=view.version,
            pid=view.pid,
            epoch=view.epoch,
            plan=view.plan,
            folder=str(self.folder.root),
            started_at=view.started_at,
            now=self.now(),
            last_seq=view.last_seq,
            stopping="" if view.stopping is None else view.stopping.reason,
            who=peer.who,
            scope=peer.scope,
        )

    def health(self) -> Health:
        view = self.view
        problems = [f"{actor} is not running any more: {error}" for actor, error in self.picture.parked.items()]
        for leaf in walk(view):
            attempt = leaf.task.attempts[-1] if leaf.task.attempts else None
            problems += [] if attempt is None else _blocked(leaf.name, attempt)
        return Health(
            status="stopping" if view.stopping is not None else "degraded" if problems else "ok",
            problems=tuple(problems),
            seconds=None if view.started_at is None else self.now() - view.started_at,
            last_seq=view.last_seq,
            counts=count_tree(view),
        )

    def tasks(self, params: TaskListParams) -> TaskList:
        lines = [line for _, line in list_tasks(self.view, self.now(), params.run)]
        chosen = tuple(line for line in lines if not params.status or line.status in params.status)
        return TaskList(tasks=chosen, last_seq=self.view.last_seq)

    def workers(self, params: TaskListParams) -> WorkerList:
        lines = list_workers(self.view, self.now(), params.run)
        chosen = tuple(line for line in lines if not params.status or line.status in params.status)
        return WorkerList(workers=chosen, last_seq=self.view.last_seq)

    def worker(self, params: TaskParams) -> WorkerLine:
        leaf = find_leaf(self.view, params.task)
        return next(line for line in list_workers(self.view, self.now()) if line.task == leaf.name)

    async def output(self, params: OutputParams) -> Output:
        return await read_output(self.view, self.folder, params, self.redactor_of)

    def runs(self) -> RunList:
        return RunList(runs=tuple(list_runs(self.view)), last_seq=self.view.last_seq)

    def run(self, params: RunParams) -> RunDetail:
        name = find_run(self.view, params.run)
        line = next(line for line in list_runs(self.view) if line.task == name)
        tasks = tuple(line for _, line in list_tasks(self.view, self.now(), name))
        return RunDetail(run=line, tasks=tasks, last_seq=self.view.last_seq)

    async def report(self, params: RunParams) -> RunReport:
        name = find_run(self.view, params.run)
        folder = self.folder if name == ROOT else FleetFolder(Path(self._instance(name).folder))
        try:
            data = await trio.Path(folder.report_json).read_bytes()
        except FileNotFoundError as error:
            raise UnknownNameError(f"run {quote(params.run)}: it has no report yet; it gets one at its end") from error
        return RunReport(task=name, path=str(folder.report_json), report=msgspec.Raw(data))

    def sessions(self) -> SessionList:
        return SessionList(sessions=tuple(list_sessions(self.view)), last_seq=self.view.last_seq)

    def session(self, params: TaskParams) -> SessionLine:
        name = find_leaf(self.view, params.task).name
        for line in list_sessions(self.view):
            if line.task == name:
                return line
        raise UnknownNameError(f"task {quote(name)}: it has no session on an agent server")

    def instances(self) -> InstanceList:
        return InstanceList(instances=tuple(list_instances(self.view, self.folder)), last_seq=self.view.last_seq)

    def instance(self, params: InstanceParams) -> InstanceLine:
        return self._instance(find_run(self.view, params.instance))

    async def commands(self, params: CommandListParams) -> CommandList:
        return await list_commands(self.view, self.folder, params, self.redactor_of)

    async def command(self, params: CommandParams) -> CommandLine:
        return await get_command(self.view, self.folder, params, self.redactor_of)

    def permissions(self) -> PermissionList:
        return PermissionList(permissions=tuple(open_permissions(self.view)), last_seq=self.view.last_seq)

    async def events(self, params: ReadParams) -> ReadResult:
        return await read_events(self.folder.journal, self.view, params)

    def _instance(self, name: str) -> InstanceLine:
        if name == ROOT:
            raise UnknownNameError("that is the fleet itself; run.get and system.info tell of it")
        return next(line for line in list_instances(self.view, self.folder) if line.instance == name)


def _blocked(name: str, attempt: AttemptView) -> list[str]:
    return [f"task {quote(name)}: its {stream} is not taken: {why}" for stream, why in attempt.blocked.items()]


_READS: Mapping[str, Callable[[FleetReader, Any], Any]] = MappingProxyType(
    {
        "system.health": lambda reader, _: reader.health(),
        "worker.list": FleetReader.workers,
        "worker.get": FleetReader.worker,
        "worker.output": FleetReader.output,
        "run.list": lambda reader, _: reader.runs(),
        "run.get": FleetReader.run,
        "run.report": FleetReader.report,
        "task.list": FleetReader.tasks,
        "task.get": FleetReader.worker,
        "session.list": lambda reader, _: reader.sessions(),
        "session.get": FleetReader.session,
        "instance.list": lambda reader, _: reader.instances(),
        "instance.get": FleetReader.instance,
        "command.list": FleetReader.commands,
        "command.get": FleetReader.command,
        "permission.list": lambda reader, _: reader.permissions(),
        "events.read": FleetReader.events,
        "rpc.discover": lambda *_: openrpc_document(),
    }
)
IN_MEMORY: frozenset[str] = frozenset(
    name for name, read in _READS.items() if not inspect.iscoroutinefunction(read)
) | {"system.info"}
"""The methods that wait for nothing."""
