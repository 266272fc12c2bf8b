"""The client of the port of a ``callboard up``: a typed call for each method, and a restart of that is a pause."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
from trio_websocket import WebSocketConnection

from actors.rpc_client import RpcClient
from actors.rpc_connection import open_rpc_socket
from actors.rpc_feed import RpcFeed
from actors.unix_socket import connect_unix
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
from protocols.errors import FleetError
from protocols.port_commands import CommandLine, CommandList, CommandListParams, CommandParams, PermissionList
from protocols.port_params import (
    InstanceParams,
    NoParams,
    OutputParams,
    ReadParams,
    RunParams,
    TaskListParams,
    TaskParams,
    Wanted,
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
    SystemInfo,
    TaskList,
    WorkerLine,
    WorkerList,
)

__all__ = ["Client", "connect_tcp", "connect_unix_socket", "open_client"]

T = TypeVar("T")
Connect = Callable[[], AbstractAsyncContextManager[WebSocketConnection]]


@dataclass(frozen=True, slots=True)
class Client:
    """Each call raises InputError where the supervisor refuses, with its words; UnreachableError where it is gone for
    longer than a restart takes; else FleetError. What acts is done once, however often the connection breaks, and is
    in the journal when it is answered."""

    rpc: RpcClient

    async def info(self) -> SystemInfo:
        return await self.rpc.call("system.info", NoParams(), SystemInfo)

    async def health(self) -> Health:
        return await self.rpc.call("system.health", NoParams(), Health)

    async def shut_down(self, command: ShutDown) -> Done:
        return await self._act("system.shutdown", command)

    async def workers(self, params: TaskListParams) -> WorkerList:
        return await self.rpc.call("worker.list", params, WorkerList)

    async def worker(self, task: str) -> WorkerLine:
        return await self.rpc.call("worker.get", TaskParams(task), WorkerLine)

    async def output(self, params: OutputParams) -> Output:
        return await self.rpc.call("worker.output", params, Output)

    async def spawn(self, command: SpawnWorker) -> Done:
        return await self._act("worker.spawn", command)

    async def stop(self, command: StopTask) -> Done:
        return await self._act("worker.stop", command)

    async def kill(self, task: str) -> Done:
        return await self._act("worker.kill", RetryTask(task=task))  # it takes the name of the task alone

    async def restart(self, command: RestartTask) -> Done:
        return await self._act("worker.restart", command)

    async def signal(self, command: SignalWorker) -> Done:
        return await self._act("worker.signal", command)

    async def send(self, command: SendToWorker) -> Done:
        return await self._act("worker.send", command)

    async def commands(self, params: CommandListParams) -> CommandList:
        return await self.rpc.call("command.list", params, CommandList)

    async def command(self, params: CommandParams) -> CommandLine:
        return await self.rpc.call("command.get", params, CommandLine)

    async def permissions(self) -> PermissionList:
        return await self.rpc.call("permission.list", NoParams(), PermissionList)

    async def reply_permission(self, command: ReplyPermission) -> Done:
        return await self._act("permission.reply", command)

    async def resize(self, command: ResizeTerminal) -> Done:
        return await self._act("worker.resize", command)

    async def submit(self, command: SubmitRun) -> Done:
        return await self._act("run.submit", command)

    async def runs(self) -> RunList:
        return await self.rpc.call("run.list", NoParams(), RunList)

    async def run(self, run: str) -> RunDetail:
        return await self.rpc.call("run.get", RunParams(run), RunDetail)

    async def report(self, run: str) -> RunReport:
        return await self.rpc.call("run.report", RunParams(run), RunReport)

    async def cancel_run(self, command: CancelTask) -> Done:
        """Its ``task`` is the name or the id of a run."""
        return await self._act("run.cancel", command, "run")

    async def resume_run(self, command: RetryTask) -> Done:
        """Its ``task`` is the name or the id of a run."""
        return await self._act("run.resume", command, "run")

    async def tasks(self, params: TaskListParams) -> TaskList:
        return await self.rpc.call("task.list", params, TaskList)

    async def task(self, task: str) -> WorkerLine:
        return await self.rpc.call("task.get", TaskParams(task), WorkerLine)

    async def cancel(self, command: CancelTask) -> Done:
        return await self._act("task.cancel", command)

    async def retry(self, command: RetryTask) -> Done:
        return await self._act("task.retry", command)

    async def sessions(self) -> SessionList:
        return await self.rpc.call("session.list", NoParams(), SessionList)

    async def session(self, task: str) -> SessionLine:
        return await self.rpc.call("session.get", TaskParams(task), SessionLine)

    async def spawn_instance(self, command: SubmitRun) -> Done:
        return await self._act("instance.spawn", command)

    async def instances(self) -> InstanceList:
        return await self.rpc.call("instance.list", NoParams(), InstanceList)

    async def instance(self, name: str) -> InstanceLine:
        return await self.rpc.call("instance.get", InstanceParams(name), InstanceLine)

    async def stop_instance(self, command: StopTask) -> Done:
        """Its ``task`` is the name of an instance, or the id of its run."""
        return await self._act("instance.stop", command, "instance")

    async def read_events(self, params: ReadParams) -> ReadResult:
        return await self.rpc.call("events.read", params, ReadResult)

    @asynccontextmanager
    async def subscribe(self, wanted: Wanted, after: int | None = None) -> AsyncIterator[RpcFeed]:
        """Records behind number ``after``, each once and in order, whatever breaks meanwhile; None: from now on."""
        feed = RpcFeed(rpc=self.rpc, wanted=wanted, after=after)
        self.rpc.watchers.append(feed)
        try:
            await feed.begin()
            yield feed
        finally:
            self.rpc.watchers.remove(feed)

    async def _act(self, method: str, command: Command, task: str = "task") -> Done:
        """``task``: how the method calls what the command calls so."""
        said = {("key" if name == "type" else name): value for name, value in msgspec.to_builtins(command).items()}
        said["key"] = uuid.uuid4().hex
        if "task" in said:
            said[task] = said.pop("task")
        return await self.rpc.call(method, said, Done)


@asynccontextmanager
async def open_client(name: str, connect: Connect, first_patience: float = 5.0) -> AsyncIterator[Client]:
    """``name``: of the server, for errors. Raise FleetError where it cannot be reached; errors of the body that are one
    of these, or an OSError, come out as they are."""
    rpc = RpcClient(name=name, connect=connect, first_patience=first_patience)
    problem: FleetError | OSError | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(rpc.run)
            yield Client(rpc)
            await rpc.leave()
        except (FleetError, OSError) as error:
            problem = error
        nursery.cancel_scope.cancel(reason="the client is done")
    if problem is not None:
        raise problem


def connect_unix_socket(path: Path) -> Connect:
    """To the port of a supervisor on this machine; it knows by itself who asks."""
    return partial(_connect_unix, path)


def connect_tcp(host: str, port: int, token: str) -> Connect:
    """To a port on this machine or another one."""
    return partial(_connect_tcp, host, port, token)


@asynccontextmanager
async def _connect_unix(path: Path) -> AsyncIterator[WebSocketConnection]:
    connection = connect_unix(path)
    connection.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    async with open_rpc_socket(stream, "localhost") as socket:
        yield socket


@asynccontextmanager
async def _connect_tcp(host: str, port: int, token: str) -> AsyncIterator[WebSocketConnection]:
    stream = await trio.open_tcp_stream(host, port)
    headers = [(b"authorization", b"Bearer " + token.encode())]
    async with open_rpc_socket(stream, f"{host}:{port}", headers) as socket:
        yield socket
