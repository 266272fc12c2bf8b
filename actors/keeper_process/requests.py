"""What a supervisor may ask, checked field by field; fields that this version does not know are ignored."""

import json
from math import inf, isfinite
from typing import NamedTuple, TypeAlias

__all__ = ["BadRequestError", "Request", "fds_of", "parse_message", "parse_request"]

_STDIN_KINDS = frozenset({"none", "text", "file", "pipe"})
_REASONS = frozenset({"exit", "timeout", "stop", "orphaned", "lost", "not-started"})
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_LARGEST_WINDOW = 65535  # of struct winsize
_LONGEST_ID = 64  # it has to fit into the status file


class BadRequestError(Exception):
    """The message cannot be used; the text says why."""


class Hello(NamedTuple):
    versions: list[int]
    fleet: str
    generation: int


class Stdin(NamedTuple):
    kind: str
    data: bytes


class Window(NamedTuple):
    """The size of a terminal, in characters."""

    columns: int
    rows: int


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


class CloseStdin(NamedTuple):
    attempt: str


class Resize(NamedTuple):
    attempt: str
    window: Window


class Forget(NamedTuple):
    attempt: str


class Ping(NamedTuple):
    pass


class Shutdown(NamedTuple):
    pass


Request: TypeAlias = Hello | Spawn | Adopt | Reaped | Stop | CloseStdin | Resize | Forget | Ping | Shutdown


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
    fields = _Fields(message)
    match message.get("op"):
        case "hello":
            return Hello(fields.versions(), fields.text("fleet"), fields.number("generation"))
        case "spawn":
            return _spawn(fields)
        case "adopt":
            return Adopt(_terms(fields), fields.number("pid"), fields.number("start_ticks"))
        case "reaped":
            code, signal = fields.number_or_none("code"), fields.number_or_none("signal")
            return Reaped(fields.attempt(), code, signal, fields.seconds("at"))
        case "stop":
            return Stop(fields.attempt(), fields.seconds("grace"), fields.one_of("reason", _REASONS))
        case "resize":
            return Resize(fields.attempt(), fields.window())
        case "close_stdin" | "forget" as op:
            return CloseStdin(fields.attempt()) if op == "close_stdin" else Forget(fields.attempt())
        case "ping" | "shutdown" as op:
            return Ping() if op == "ping" else Shutdown()
        case unknown:
            raise BadRequestError(f"op: there is no {unknown!r:.80}")


def _terms(fields: "_Fields") -> Terms:
    return Terms(
        attempt=fields.attempt(),
        spools={stream: fields.path(stream) for stream in _streams(fields)},
        status=fields.path("status"),
        attached=fields.flag("attached"),
        timeout=inf if fields.get("timeout") is None else fields.seconds("timeout"),
        grace=fields.seconds("grace"),
        linger=fields.seconds("linger"),
    )


def _streams(fields: "_Fields") -> tuple[str, ...]:
    return ("terminal",) if fields.get("terminal") is not None else ("stdout", "stderr")


def _spawn(fields: "_Fields") -> Spawn:
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


def _stdin(fields: "_Fields") -> Stdin:
    value = fields.get("stdin")
    if not isinstance(value, dict):
        raise BadRequestError("stdin: must be an object with kind and text")
    inner = _Fields({"text": "", **value})
    kind = inner.one_of("kind", _STDIN_KINDS)
    if kind == "file":
        return Stdin(kind, inner.path("text"))
    return Stdin(kind, _encode("stdin.text", inner.text("text")))


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


class _Fields:
    """The fields of one message by type. Each method raises `BadRequestError`."""

    def __init__(self, message: dict[str, object]) -> None:
        self._message = message

    def get(self, name: str) -> object:
        return self._message.get(name)

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str):
            raise BadRequestError(f"{name}: must be a string")
        return value

    def string(self, name: str) -> bytes:
        """What the operating system takes as a string."""
        return _without_nul(name, _encode(name, self.text(name)))

    def strings(self, name: str) -> list[bytes]:
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadRequestError(f"{name}: must be an array of strings")
        return [_without_nul(name, _encode(name, item)) for item in value]

    def path(self, name: str) -> bytes:
        value = self.string(name)
        if not value.startswith(b"/"):
            raise BadRequestError(f"{name}: must be an absolute path")
        return value

    def attempt(self) -> str:
        value = self.text("attempt")
        if not 0 < len(value) <= _LONGEST_ID or not _ID_CHARACTERS.issuperset(value):
            raise BadRequestError("attempt: must be 1 to 64 letters, digits, - or _")
        return value

    def one_of(self, name: str, values: frozenset[str]) -> str:
        value = self.text(name)
        if value not in values:
            raise BadRequestError(f"{name}: {value!r:.80} is none of {', '.join(sorted(values))}")
        return value

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if not isinstance(value, bool):
            raise BadRequestError(f"{name}: must be true or false")
        return value

    def number(self, name: str) -> int:
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadRequestError(f"{name}: must be a whole number, not negative")
        return value

    def number_or_none(self, name: str) -> int | None:
        return None if self.get(name) is None else self.number(name)

    def window(self) -> Window:
        value = self.get("window")
        if (
            not isinstance(value, list)
            or len(value) != 2
            or not all(type(item) is int and 0 < item <= _LARGEST_WINDOW for item in value)
        ):
            raise BadRequestError(f"window: must be an array of columns and rows, each from 1 to {_LARGEST_WINDOW}")
        return Window(*value)

    def seconds(self, name: str) -> float:
        value = self.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value) or value < 0:
            raise BadRequestError(f"{name}: must be a number of seconds, not negative")
        return float(value)

    def versions(self) -> list[int]:
        value = self.get("versions")
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise BadRequestError("versions: must be an array of whole numbers")
        return value


def _encode(name: str, text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise BadRequestError(f"{name}: one character must be one byte (latin-1)") from exc


def _without_nul(name: str, data: bytes) -> bytes:
    if b"\0" in data:
        raise BadRequestError(f"{name}: holds a NUL byte, which no process can be given")
    return data
