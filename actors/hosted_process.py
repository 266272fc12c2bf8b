"""A server that the workers of a fleet need: a process of the keeper like a worker, which ends after all of them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from actors.orders import Answer, Ask, AskSpawn, KeeperAsk, StartWorker
from protocols.environment import MARK, chained_mark
from protocols.ids import AttemptId, FleetId
from protocols.keeper import Ended, Report, Spawn, Spawned, Stdin, Stop
from protocols.keeper_codec import os_text
from protocols.plan import Task

__all__ = ["HostedProcess"]

_LINGER = 0.5


@dataclass(slots=True, kw_only=True)
class HostedProcess:
    """Not to be started twice."""

    fleet: FleetId
    keeper: trio.MemorySendChannel[KeeperAsk]
    folder: Path
    """Of its own: it works there, and its output goes there."""
    attached: bool
    """It ends when the supervisor is gone."""
    attempt: AttemptId = field(default_factory=lambda: AttemptId(secrets.token_hex(16)))
    pid: int = 0
    ended: trio.Event = field(default_factory=trio.Event)
    end: Ended | None = None
    """How it ended, where the keeper has told it."""
    _alive: bool = False

    def request(self, command: tuple[str, ...], environ: Mapping[str, str], outer: str | None) -> Spawn:
        """``command`` begins with the path of the program; ``outer``: the mark that we have ourselves."""
        marked = {**environ, MARK: chained_mark(outer, f"{self.fleet}/{self.attempt}")}
        return Spawn(
            attempt=self.attempt,
            executable=os_text(command[0]),
            argv=tuple(map(os_text, command)),
            cwd=os_text(self.folder),
            env=tuple(os_text(f"{name}={value}") for name, value in marked.items()),
            stdin=Stdin("none"),
            stdout=os_text(self.folder / "stdout"),
            stderr=os_text(self.folder / "stderr"),
            status=os_text(self.folder / "status"),
            attached=self.attached,
            host=True,
            timeout=None,
            grace=_LINGER,
            linger=_LINGER,
        )

    async def start(self, nursery: trio.Nursery, request: Spawn, task: Task) -> None:
        """It runs. Raise KeeperError. Its watcher lives in the nursery; ``task`` is its name."""
        send, answer = trio.open_memory_channel[Answer](1)
        reports, inbox = trio.open_memory_channel[Report](16)
        with send, answer:
            await self.keeper.send(AskSpawn(request, send, reports, StartWorker(task, 1, self.attempt)))
            answered = await answer.receive()
        if answered.error is not None:
            raise answered.error
        self.pid, self._alive = msgspec.json.decode(answered.ok, type=Spawned).pid, True
        nursery.start_soon(self._watch, inbox)

    async def stop(self, grace: float) -> None:
        """Return when nothing of it is left; at once where it does not run."""
        if self._alive:
            await self.keeper.send(Ask(Stop(attempt=self.attempt, grace=grace, reason="stop")))
            await self.ended.wait()

    async def _watch(self, inbox: trio.MemoryReceiveChannel[Report]) -> None:
        with inbox:
            async for report in inbox:
                if isinstance(report, Ended):
                    self.end = report
                    break
        self._alive = False
        self.ended.set()
