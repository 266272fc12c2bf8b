"""Whether an output is as its schema says, never for longer than a limit: a pattern may try for ever to match a text.

Such a pattern holds up a whole interpreter. So whatever may take long is left to a process (`actors.schema_process`),
which serves one output after the other, and ends a few seconds after the last.
"""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

import msgspec

from actors.json_schema import find_violations, may_take_long, read_schema
from actors.schema_process import HEADER, LIMIT, Answer
from actors.strays import BESIDE
from protocols.json_text import parse_json
from protocols.task_output import DEEPEST

__all__ = ["SchemaCheck"]

_COMMAND = (sys.executable, "-I", "-m", "actors.schema_process")
_VARIABLE = "CALLBOARD_MARK"
_PATIENCE = 120.0  # for all of it: it limits itself, unless somebody has stopped it
_CHUNK = 1 << 20
_TOO_LONG = f"it takes more than {LIMIT:g} s of CPU time on this output; make its patterns simpler"


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    to: int
    of: int


@dataclass(slots=True)
class SchemaCheck:
    """One at a time. To be called in threads."""

    _child: _Child | None = None
    _turn: Lock = field(default_factory=Lock)

    def find(self, data: bytes, schema: bytes) -> tuple[str, ...]:
        """The first violations. ``data`` is JSON. Raise ValueError where the schema cannot be used, OSError."""
        read = read_schema(schema)
        if not may_take_long(read):
            return find_violations(parse_json(data, DEEPEST), read)
        with self._turn:
            answer = self._ask(data, schema) or self._ask(data, schema)  # the first one may just have ended unasked
        if answer is None or answer.problem:
            raise ValueError(_TOO_LONG if answer is None else answer.problem)
        return answer.violations

    def _ask(self, data: bytes, schema: bytes) -> Answer | None:
        """None: it ended before it began."""
        child = self._child = self._child or _start()
        said = b"".join(_converse(child, HEADER.pack(len(schema), len(data)) + schema + data))
        if said.endswith(b"\n"):
            return msgspec.json.decode(said[1:], type=Answer)
        self._child = None
        _end(child)
        return Answer(problem=_TOO_LONG) if said else None


def _start() -> _Child:
    theirs, to = os.pipe()
    of, others = os.pipe()
    outer = os.environ.get(_VARIABLE)
    try:
        pid = os.posix_spawn(
            _COMMAND[0],
            _COMMAND,
            {_VARIABLE: f"{outer}:{BESIDE}" if outer else BESIDE},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs, 0),
                (os.POSIX_SPAWN_DUP2, others, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
        )
    except OSError:
        os.close(to)
        os.close(of)
        raise
    finally:
        os.close(theirs)
        os.close(others)
    os.set_blocking(to, False)
    return _Child(pid, to, of)


def _converse(child: _Child, request: bytes) -> Iterator[bytes]:
    """What it says, up to the end of a line; or as far as it came."""
    rest = memoryview(request)
    poll = select.poll()
    poll.register(child.of, select.POLLIN)
    poll.register(child.to, select.POLLOUT)
    while ready := dict(poll.poll(_PATIENCE * 1000)):
        if child.to in ready:
            try:
                rest = rest[os.write(child.to, rest[:_CHUNK]) :]
            except BrokenPipeError:
                return
            if not rest:
                poll.unregister(child.to)
        if child.of in ready:
            piece = os.read(child.of, _CHUNK)
            yield piece
            if not piece or piece.endswith(b"\n"):
                return


def _end(child: _Child) -> None:
    """It is dead, or as good as that."""
    os.close(child.to)
    os.close(child.of)
    with suppress(ProcessLookupError, ChildProcessError):  # who reaps all that comes to us was faster
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
