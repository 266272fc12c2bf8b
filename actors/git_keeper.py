"""Runs git as a worker of the keeper: it ends in time, and with callboard."""

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from os import defpath
from pathlib import Path
from typing import TypeVar

import trio

from actors.orders import Answer, Ask, AskSpawn, KeeperAsk, StartWorker
from protocols.environment import MARK, chained_mark
from protocols.errors import WorkspaceError
from protocols.ids import AttemptId, FleetId, TaskId
from protocols.keeper import Ended, Forget, Report, Spawn, Stdin, Stop
from protocols.keeper_codec import os_text
from protocols.plan import Task
from protocols.worktree import GitCall, GitDone, Talk, git_command, git_environment

__all__ = ["KeeperGit"]

T = TypeVar("T")

_GRACE = 1.0  # for git to take its locks away
_LINGER = 0.5
_GOODBYE = 5.0
_MARGIN = 30.0  # for a keeper that is replaced meanwhile
_LONGEST = 4 * 1024 * 1024  # of what it prints: enough to know that there is something


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperGit:
    keeper: trio.MemorySendChannel[KeeperAsk]
    fleet: FleetId
    environ: Mapping[str, str]
    folder: Path
    """For what it prints; made when it is needed."""
    limiter: trio.CapacityLimiter

    async def converse(self, talk: Talk[T]) -> T:
        """Run what it asks for, to its end."""
        try:
            call = next(talk)
            while True:
                call = talk.send(await self.run(call))
        except StopIteration as end:
            found: T = end.value
            return found

    async def run(self, call: GitCall) -> GitDone:
        """Run one command. Cancelled, it is ended first. Raise WorkspaceError where there is no git, `OSError`."""
        attempt = AttemptId(secrets.token_hex(16))
        place = self.folder / attempt
        request = self._request(call, attempt, place)
        await trio.to_thread.run_sync(_make, place, limiter=self.limiter)
        try:
            ended = await self._run(request, call)
            stdout, stderr = await trio.to_thread.run_sync(_read, place, limiter=self.limiter)
        finally:
            with trio.move_on_after(_GOODBYE, shield=True):
                await trio.to_thread.run_sync(_remove, place, limiter=self.limiter)
        if ended is None or ended.reason == "timeout":
            return GitDone(None, stdout, stderr, f"git did not end within {call.patience:g} s")
        killed = "" if ended.code is not None else f"git was ended ({ended.signal or ended.reason})"
        return GitDone(ended.code, stdout, stderr, killed)

    async def _run(self, request: Spawn, call: GitCall) -> Ended | None:
        """None: nobody knows its end."""
        send, answer = trio.open_memory_channel[Answer](1)
        reports, inbox = trio.open_memory_channel[Report](16)
        order = StartWorker(Task(id=TaskId("git"), command=("git",)), 1, request.attempt)
        ended: Ended | None = None
        with send, answer, inbox:
            try:
                await self.keeper.send(AskSpawn(request, send, reports, order))
                answered = await answer.receive()
                if answered.error is not None:
                    raise WorkspaceError(f"git cannot be started: {answered.error}")
                with trio.move_on_after(call.patience + _MARGIN):
                    ended = await _wait(inbox)
            finally:
                with trio.move_on_after(_GOODBYE, shield=True):
                    if ended is None:
                        await self.keeper.send(Ask(Stop(attempt=request.attempt, grace=_GRACE, reason="stop")))
                        await _wait(inbox)
                    await self.keeper.send(Ask(Forget(attempt=request.attempt)))
        return ended

    def _request(self, call: GitCall, attempt: AttemptId, place: Path) -> Spawn:
        program = shutil.which("git", path=self.environ.get("PATH", defpath))
        if program is None:
            raise WorkspaceError("git is not on PATH; install it")
        mark = chained_mark(self.environ.get(MARK), f"{self.fleet}/{attempt}")
        environ = git_environment(self.environ) | {MARK: mark}
        return Spawn(
            attempt=attempt,
            executable=os_text(program),
            argv=tuple(map(os_text, git_command(program, call))),
            cwd=os_text(place),
            env=tuple(os_text(f"{key}={value}") for key, value in environ.items()),
            stdin=Stdin("none"),
            stdout=os_text(place / "stdout"),
            stderr=os_text(place / "stderr"),
            status=os_text(place / "status"),
            attached=True,
            timeout=call.patience,
            grace=_GRACE,
            linger=_LINGER,
        )


async def _wait(inbox: trio.MemoryReceiveChannel[Report]) -> Ended | None:
    async for report in inbox:
        if isinstance(report, Ended):
            return report
    return None


def _make(place: Path) -> None:
    place.mkdir(mode=0o700, parents=True)


def _read(place: Path) -> tuple[bytes, bytes]:
    return _read_start(place / "stdout"), _read_start(place / "stderr")


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST)
    except FileNotFoundError:
        return b""


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
