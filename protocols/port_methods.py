"""The methods of the port: their names, parameters, results, and what who calls them has to be allowed to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from protocols.commands import (
    CancelTask,
    Command,
    Done,
    ReplyPermission,
    ResizeTerminal,
    RestartTask,
    RetryTask,
    SendToWorker,
    ShutDown,
    SignalWorker,
    SpawnWorker,
    StopTask,
    SubmitRun,
)
from protocols.peer import Need
from protocols.port_commands import CommandLine, CommandList, CommandListParams, CommandParams, PermissionList
from protocols.port_params import (
    InstanceParams,
    NoParams,
    OutputParams,
    ReadParams,
    RunParams,
    SubscribeParams,
    TaskListParams,
    TaskParams,
    UnsubscribeParams,
)
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
    Subscribed,
    SystemInfo,
    TaskList,
    Unsubscribed,
    WorkerLine,
    WorkerList,
)

__all__ = ["METHODS", "Key", "Method"]

Key: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""Of the client's own making, one for each thing that it wants: however often it asks with the same one, it is done
once, and the answer is the first one. Also behind a restart of the supervisor."""


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    params: type[msgspec.Struct]
    result: Any
    """A type; of ``rpc.discover`` any JSON."""
    summary: str
    need: Need = "read"
    command: Callable[[Any], Command] | None = None
    """Of one that acts: what its parameters ask for, once they name a task where they may name a run."""
    names: Literal["task", "run", "instance"] = "task"
    """How the parameters of one that acts call the task."""
    session: bool = False
    """It belongs to a connection, such as a subscription."""

    repeatable: bool = False
    """Done twice, the second time changes nothing; or it can be told whether it was done."""

    @property
    def acts(self) -> bool:
        return self.command is not None


_REPEATABLE: frozenset[type] = frozenset({SpawnWorker, SubmitRun, StopTask, CancelTask, ShutDown, ResizeTerminal})


def _acting(
    name: str,
    kind: type[Command],
    summary: str,
    need: Need = "operate",
    /,
    *,
    names: Literal["task", "run", "instance"] = "task",
    **fixed: Any,
) -> Method:
    """``fixed``: fields of the command that the method itself says."""
    known = [field for field in msgspec.structs.fields(kind) if field.name not in {*fixed, "key"}]
    called = {"task": names}
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (called.get(each.name, each.name), each.type)
        if each.required
        else (called.get(each.name, each.name), each.type, each.default)
        for each in known
    ]
    group, _, verb = name.partition(".")
    params = msgspec.defstruct(
        f"{group.title()}{verb.title()}Params",
        [*fields, ("key", Key | None, None)],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=__name__,
    )

    def command(asked: Any) -> Command:
        given: dict[str, Any] = {each.name: getattr(asked, called.get(each.name, each.name)) for each in known}
        if kind in (SpawnWorker, SubmitRun):
            given["key"] = asked.key
        return kind(**given, **fixed)

    return Method(name, params, Done, summary, need, command, names, repeatable=kind in _REPEATABLE)


_TABLE = (
    Method("system.info", NoParams, SystemInfo, "Who answers, and since when."),
    Method("system.health", NoParams, Health, "Whether all is as it should be."),
    _acting("system.shutdown", ShutDown, "End the fleet, with its workers or without.", "admin"),
    Method("worker.list", TaskListParams, WorkerList, "All workers of the tree, each by its last attempt."),
    Method("worker.get", TaskParams, WorkerLine, "One worker, by the name of its task."),
    Method("worker.output", OutputParams, Output, "Bytes that a worker wrote, by their place in the stream."),
    _acting("worker.spawn", SpawnWorker, "One more task, as a plan writes it in [[tasks]]."),
    _acting("worker.stop", StopTask, "End a worker; nothing follows but its end."),
    _acting("worker.kill", StopTask, "End a worker at once.", grace=0.0, reason="killed by a client"),
    _acting("worker.restart", RestartTask, "End a worker, if it runs, and begin its next attempt."),
    _acting("worker.signal", SignalWorker, "Send a signal to the process group of a worker."),
    _acting("worker.resize", ResizeTerminal, "Give the terminal of a worker another size."),
    _acting("worker.send", SendToWorker, "Send a text, keys or a signal, reply or restart: by the durable queue."),
    Method("command.list", CommandListParams, CommandList, "What was sent to workers, the newest first."),
    Method("command.get", CommandParams, CommandLine, "One command, by its id."),
    Method("permission.list", NoParams, PermissionList, "What sessions wait for, who has waited longest first."),
    _acting("permission.reply", ReplyPermission, "Allow or reject; the first reply counts. No worker may."),
    _acting("run.submit", SubmitRun, "Run a plan, as a task that is an instance."),
    Method("run.list", NoParams, RunList, "The fleet itself and all runs below it."),
    Method("run.get", RunParams, RunDetail, "One run with its tasks."),
    Method("run.report", RunParams, RunReport, "The report of a run that has ended."),
    _acting("run.cancel", CancelTask, "End a run, or let it not begin.", names="run"),
    _acting("run.resume", RetryTask, "Go on with a run that is over and did not succeed.", names="run"),
    Method("task.list", TaskListParams, TaskList, "All tasks of the tree."),
    Method("task.get", TaskParams, WorkerLine, "One task with its worker."),
    _acting("task.cancel", CancelTask, "Let a task not begin, or end it."),
    _acting("task.retry", RetryTask, "One more attempt of a task that is over and did not succeed."),
    Method("session.list", NoParams, SessionList, "The sessions on agent servers, each of the last attempt of a task."),
    Method("session.get", TaskParams, SessionLine, "The session of a task."),
    _acting("instance.spawn", SubmitRun, "Start a callboard below this one, with its plan: the same as run.submit."),
    Method("instance.list", NoParams, InstanceList, "The callboards below this one."),
    Method("instance.get", InstanceParams, InstanceLine, "One callboard below this one."),
    _acting("instance.stop", StopTask, "End a callboard below this one, and all that it runs.", names="instance"),
    Method("events.subscribe", SubscribeParams, Subscribed, "Get records as they come.", session=True),
    Method("events.unsubscribe", UnsubscribeParams, Unsubscribed, "Get no more of them.", session=True),
    Method("events.read", ReadParams, ReadResult, "Records by their numbers."),
    Method("rpc.discover", NoParams, Any, "What can be said here, as an OpenRPC document."),
)
METHODS: Mapping[str, Method] = MappingProxyType({each.name: each for each in _TABLE})
