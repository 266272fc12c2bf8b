"""What the keeper does when it is asked: requests in, replies out."""

import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, assert_never

from actors.keeper_process.attempt import Attempt
from actors.keeper_process.connections import Connections
from actors.keeper_process.fields import BadRequestError, Window
from actors.keeper_process.fleet import Fleet
from actors.keeper_process.inputs import NoInputError, interrupt, send, unread, write
from actors.keeper_process.launch import BOOT_ID, ends_of, stdin_of
from actors.keeper_process.requests import (
    Adopt,
    Change,
    CloseStdin,
    Extend,
    Forget,
    Hello,
    Interrupt,
    Ping,
    Reaped,
    Resize,
    Shutdown,
    Signal,
    Spawn,
    Stop,
    Unread,
    Write,
    fds_of,
    parse_message,
    parse_request,
)
from actors.keeper_process.spawn import StartError
from actors.keeper_process.terminal import open_terminal, resize
from actors.keeper_process.wire import MAX_FDS, Peer

__all__ = ["VERSIONS", "Operations"]

VERSIONS = frozenset({1, 2, 3})
_PID_NAMESPACE = Path("/proc/self/ns/pid").stat().st_ino

_Answer: TypeAlias = tuple[dict[str, object], list[int]]
"""What comes back, and descriptors that go with it."""


class RefusedError(Exception):
    """The request is understood and will not be done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Operations:
    """Answers each line that has an id. No line ends the keeper."""

    def __init__(self, fleet_id: str, fleet: Fleet) -> None:
        self.connections: Connections
        """Set by who makes both."""
        self.finishing: list[tuple[Peer, int]] = []
        """Who asked for the end, and is to be told when it is reached."""
        self.shutting_down = False
        self._fleet_id = fleet_id
        self._fleet = fleet

    def handle(self, peer: Peer, line: bytes) -> None:
        try:
            message = parse_message(line)
        except BadRequestError as exc:
            sys.stderr.write(f"message from pid {peer.pid}: {exc}\n")
            return
        found = message.get("id")
        number = found if isinstance(found, int) else 0
        fds = peer.take_fds(min(fds_of(message), MAX_FDS))
        try:
            answer = self._answer(peer, message, number, fds)
        except (BadRequestError, RefusedError, StartError, NoInputError, OSError) as exc:
            self._refuse(peer, number, exc)
            return
        finally:
            _close_all(fds or [])
        if answer is not None and number:
            self._reply(peer, number, *answer)
        elif answer is not None:
            _close_all(answer[1])

    def finish(self) -> None:
        """Tell who asked that nothing is left."""
        for peer, number in self.finishing:
            if peer.fileno() >= 0 and number:
                self._reply(peer, number, {"ended": self._fleet.rest.ended}, [])

    def _answer(self, peer: Peer, message: dict[str, object], number: int, fds: list[int] | None) -> _Answer | None:
        """None: the answer comes later, or was given. Descriptors that are used up leave ``fds``."""
        request = parse_request(message)
        if isinstance(request, Hello):
            self._hello(peer, number, request)
            return None
        if peer is not self.connections.controller:
            raise BadRequestError("say hello first")
        if isinstance(request, Shutdown):
            self.shutting_down = True
            self.finishing.append((peer, number))
            self._fleet.stop_all()
            return None
        if isinstance(request, Spawn):
            return self._spawn(request)
        if isinstance(request, Adopt):
            return self._adopt(request, fds)
        if isinstance(request, Write):
            return {"written": write(self._known(request.attempt), request.data)}, []
        if isinstance(request, Unread):
            return {"unread": unread(self._known(request.attempt))}, []
        if not isinstance(request, Ping):
            self._change(request)
        return {}, []

    def _hello(self, peer: Peer, number: int, request: Hello) -> None:
        common = VERSIONS.intersection(request.versions)
        if not common:
            speaks = ", ".join(map(str, sorted(VERSIONS)))
            raise RefusedError("version", f"this keeper speaks version {speaks}; use the callboard that started it")
        if request.fleet != self._fleet_id:
            raise RefusedError("bad-request", f"this is the keeper of fleet {self._fleet_id}; connect to the other one")
        if not self.connections.claim(peer, request.generation):
            known = self.connections.generation
            raise RefusedError("stale-generation", f"generation {known} is in control; say hello with a higher one")
        self._fleet.supervisor = peer.pid
        attempts = list(self._fleet.attempts.values())
        welcome = {"version": max(common), "pid": os.getpid(), "boot_id": BOOT_ID, "pid_namespace": _PID_NAMESPACE}
        self._reply(peer, number, {**welcome, "attempts": [attempt.known() for attempt in attempts]}, [])
        for attempt in attempts:
            for report in attempt.reports():
                self.connections.send(peer, report)
        self._fleet.rest.repeat()

    def _spawn(self, request: Spawn) -> _Answer:
        self._check_open()
        known = self._fleet.attempts.get(request.terms.attempt)
        if known is not None:
            return _started(known), _ends(known)
        if request.resume:
            raise _unknown(request.terms.attempt)
        launched = self._fleet.start(request)
        return _started(launched.attempt), launched.for_supervisor

    def _adopt(self, request: Adopt, fds: list[int] | None) -> _Answer:
        self._check_open()
        count = ends_of(request.terms)
        if fds is None or len(fds) not in {count, count + 1}:
            raise BadRequestError("fds: adopt needs those that came with the spawn")
        known = self._fleet.attempts.get(request.terms.attempt)
        if known is None:
            taken = fds.copy()
            fds.clear()
            launched = self._fleet.adopt(request, taken)
            _close_all(launched.for_supervisor)
            known = launched.attempt
        return _started(known), []

    def _known(self, name: str) -> Attempt:
        attempt = self._fleet.attempts.get(name)
        if attempt is None:
            raise _unknown(name)
        return attempt

    def _change(self, request: Change) -> None:
        attempt = self._known(request.attempt)
        match request:
            case Reaped():
                self._fleet.reaped(attempt, request)
            case Stop():
                self._fleet.stop(attempt, request.grace, request.reason, request.detail)
            case Extend():
                self._fleet.extend(attempt, request.left)
            case CloseStdin():
                attempt.close_stdin()
            case Resize():
                _resize(attempt, request)
            case Signal(number=number):
                send(attempt, number)
            case Interrupt():
                interrupt(attempt)
            case Forget():
                self._fleet.forget(attempt)
            case _:
                assert_never(request)

    def _check_open(self) -> None:
        if self.shutting_down:
            raise RefusedError("ESHUTDOWN", "this keeper is shutting down; start another one")

    def _reply(self, peer: Peer, number: int, content: Mapping[str, object], fds: list[int]) -> None:
        if number:
            self.connections.send(peer, {"type": "reply", "re": number, "ok": content, "fds": len(fds)}, fds)

    def _refuse(self, peer: Peer, number: int, exc: Exception) -> None:
        match exc:
            case RefusedError() | StartError() | NoInputError():
                code = exc.code
            case OSError():
                code = errno.errorcode.get(exc.errno or 0, "EIO")
            case _:
                code = "bad-request"
        if number:
            error = {"code": code, "message": str(exc)}
            self.connections.send(peer, {"type": "reply", "re": number, "error": error})


def _unknown(attempt: str) -> RefusedError:
    return RefusedError("unknown-attempt", f"attempt {attempt}: is not known here, or was forgotten")


def _started(attempt: Attempt) -> dict[str, object]:
    return {"pid": attempt.pid, "start_ticks": attempt.start_ticks, "at": attempt.started_at}


def _resize(attempt: Attempt, request: Resize) -> None:
    if "terminal" not in attempt.streams:
        raise RefusedError("ENOTTY", f"attempt {attempt.id}: has no terminal; only one with a terminal has a size")
    if "terminal" in attempt.ends:  # else it has ended
        resize(attempt.ends["terminal"][0], request.window)


def _ends(attempt: Attempt) -> list[int]:
    """The ends once more; for a stream that is complete, those of a pipe or terminal that is at its end."""
    if attempt.outfiles:
        return list(map(os.dup, stdin_of(attempt)))
    again = [fd for stream in attempt.streams for fd in _again(attempt.ends.get(stream), stream)]
    return [*again, *map(os.dup, stdin_of(attempt))]


def _again(ends: tuple[int, ...] | None, stream: str) -> list[int]:
    if ends is not None:
        return [os.dup(fd) for fd in ends]
    if stream == "terminal":
        ended, writer = open_terminal(Window(80, 24), [])
    else:
        read_end, writer = os.pipe2(os.O_CLOEXEC)
        ended = (read_end,)
    os.close(writer)
    return list(ended)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
