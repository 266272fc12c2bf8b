"""What a supervisor may ask, checked field by field; fields that this version does not know are ignored."""

import json
import signal
from math import inf
from typing import NamedTuple, TypeAlias

from actors.keeper_process.fields import BadRequestError, Fields, Window, encode
from actors.keeper_process.worker_limits import Limits, parse_limits

__all__ = ["Change", "Request", "fds_of", "parse_message", "parse_request"]

_STDIN_KINDS = frozenset({"none", "text", "file", "pipe"})
_REASONS = frozenset(
    {"exit", "timeout", "stop", "orphaned", "lost", "not-started", "stalled", "memory", "cpu-time", "spool-limit"}
    | {"sentinel", "no-log", "quiet", "budget"}
)
_LONGEST_INPUT = 4096  # bytes that a pipe takes all or nothing of, and a terminal as one line


class Hello(NamedTuple):
    versions: list[int]
    fleet: str
    generation: int


class Stdin(NamedTuple):
    kind: str
    data: bytes


class Terms(NamedTuple):
    """What spawn and adopt have in common."""

    attempt: str
    spools: dict[str, bytes]
    """The path for each stream: ``stdout`` and ``stderr``, or only ``terminal``."""
    status: bytes
    attached: bool
    timeout: float
    """Infinite where there is none."""
    grace: float
    linger: float
    limits: Limits = Limits()
    direct: bool = False
    """The worker has the spool files themselves as its stdout and stderr."""
    tty: bytes = b""  # a terminal that is there and that somebody else reads: there is no spool then
    host: bool = False
    """Others live in it: when the supervisor is gone it ends after them."""


class Spawn(NamedTuple):
    terms: Terms
    executable: bytes
    argv: list[bytes]
    cwd: bytes
    env: dict[bytes, bytes]
    stdin: Stdin
    window: Window | None
    """None where it has no terminal."""
    resume: bool = False
    """Start nothing: only an attempt that is known is wanted."""


class Adopt(NamedTuple):
    terms: Terms
    pid: int
    start_ticks: int


class Reaped(NamedTuple):
    attempt: str
    code: int | None
    signal: int | None
    at: float


class Stop(NamedTuple):
    attempt: str
    grace: float
    reason: str
    detail: str = ""


class Extend(NamedTuple):
    attempt: str
    left: float


class CloseStdin(NamedTuple):
    attempt: str


class Resize(NamedTuple):
    attempt: str
    window: Window


class Write(NamedTuple):
    attempt: str
    data: bytes


class Unread(NamedTuple):
    attempt: str


class Signal(NamedTuple):
    attempt: str
    number: int


class Interrupt(NamedTuple):
    attempt: str


class Forget(NamedTuple):
    attempt: str


class Ping(NamedTuple):
    pass


class Shutdown(NamedTuple):
    pass


Change: TypeAlias = Reaped | Stop | Extend | CloseStdin | Resize | Interrupt | Signal | Forget
"""What is done to an attempt, with nothing to tell about it."""
Request: TypeAlias = Hello | Spawn | Adopt | Change | Write | Unread | Ping | Shutdown

_OF_ATTEMPT: dict[str, type[CloseStdin | Unread | Interrupt | Forget]] = {
    "close_stdin": CloseStdin,
    "unread": Unread,
    "interrupt": Interrupt,
    "forget": Forget,
}
_ALONE: dict[str, type[Ping | Shutdown]] = {"ping": Ping, "shutdown": Shutdown}


def parse_message(line: bytes) -> dict[str, object]:
    """Raise `BadRequestError` for what is no JSON object."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise BadRequestError(f"no JSON: {exc}; send one object a line") from exc
    if not isinstance(message, dict):
        raise BadRequestError(f"a {type(message).__name__} is no message; send one object a line")
    return message


def fds_of(message: dict[str, object]) -> int:
    """How many descriptors came with the message."""
    fds = message.get("fds", 2 if message.get("op") == "adopt" else 0)
    return fds if isinstance(fds, int) and fds > 0 else 0


def parse_request(message: dict[str, object]) -> Request:
    """Raise `BadRequestError` for an unknown operation, and for a field that is missing or wrong."""
    fields = Fields(message)
    match message.get("op"):
        case "hello":
            return Hello(fields.versions(), fields.text("fleet"), fields.number("generation"))
        case "spawn":
            return _spawn(fields)
        case "adopt":
            return Adopt(_terms(fields), fields.number("pid"), fields.number("start_ticks"))
        case "reaped" | "stop" | "extend" as op:
            return _of_its_end(op, fields)
        case "resize":
            return Resize(fields.attempt(), fields.window())
        case "signal":
            return Signal(fields.attempt(), _signal(fields))
        case "write":
            return Write(fields.attempt(), _input(fields))
        case "close_stdin" | "unread" | "interrupt" | "forget" | "ping" | "shutdown" as op:
            return _ALONE[op]() if op in _ALONE else _OF_ATTEMPT[op](fields.attempt())
        case unknown:
            raise BadRequestError(f"op: there is no {unknown!r:.80}")


def _of_its_end(op: str, fields: Fields) -> Reaped | Stop | Extend:
    if op == "extend":
        return Extend(fields.attempt(), fields.seconds("left"))
    if op == "stop":
        detail = "" if fields.get("detail") is None else fields.text("detail")
        return Stop(fields.attempt(), fields.seconds("grace"), fields.one_of("reason", _REASONS), detail)
    code, signal = fields.number_or_none("code"), fields.number_or_none("signal")
    return Reaped(fields.attempt(), code, signal, fields.seconds("at"))


def _terms(fields: Fields) -> Terms:
    return Terms(
        attempt=fields.attempt(),
        spools={stream: fields.path(stream) for stream in _streams(fields)},
        status=fields.path("status"),
        attached=fields.flag("attached"),
        timeout=inf if fields.get("timeout") is None else fields.seconds("timeout"),
        grace=fields.seconds("grace"),
        linger=fields.seconds("linger"),
        limits=parse_limits(fields.get("limits")),
        direct=fields.get("direct") is not None and fields.flag("direct"),
        tty=b"" if fields.get("tty") is None else fields.path("tty"),
        host=fields.get("host") is not None and fields.flag("host"),
    )


def _streams(fields: Fields) -> tuple[str, ...]:
    pipes = ("stdout", "stderr") if fields.get("tty") is None else ()
    return ("terminal",) if fields.get("terminal") is not None else pipes


def _spawn(fields: Fields) -> Spawn:
    argv = fields.strings("argv")
    if not argv:
        raise BadRequestError("argv: is empty; name the command at least")
    terms = _terms(fields)
    return Spawn(
        terms=terms,
        executable=fields.string("executable"),
        argv=argv,
        cwd=fields.path("cwd"),
        env=_environment(fields.strings("env")),
        stdin=_stdin(fields),
        window=fields.window() if "terminal" in terms.spools else None,
        resume=fields.get("resume") is not None and fields.flag("resume"),
    )


def _stdin(fields: Fields) -> Stdin:
    value = fields.get("stdin")
    if not isinstance(value, dict):
        raise BadRequestError("stdin: must be an object with kind and text")
    inner = Fields({"text": "", **value})
    kind = inner.one_of("kind", _STDIN_KINDS)
    if kind == "file":
        return Stdin(kind, inner.path("text"))
    return Stdin(kind, encode("stdin.text", inner.text("text")))


def _signal(fields: Fields) -> int:
    number = fields.number("number")
    if not 0 < number < signal.NSIG:
        raise BadRequestError("number: is that of no signal")
    return number


def _input(fields: Fields) -> bytes:
    data = encode("data", fields.text("data"))
    if not 0 < len(data) <= _LONGEST_INPUT:
        raise BadRequestError(f"data: must be 1 to {_LONGEST_INPUT} bytes")
    return data


def _environment(pairs: list[bytes]) -> dict[bytes, bytes]:
    env = {}
    for pair in pairs:
        name, equals, value = pair.partition(b"=")
        if not name or not equals:
            raise BadRequestError(f"env: {pair!r:.80} is not NAME=value")
        if name in env:
            raise BadRequestError(f"env: {name!r:.80} is named twice")
        env[name] = value
    return env
