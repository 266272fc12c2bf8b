"""Takes secrets out of what is shown, wherever it was cut, also by who knows only their fingerprints.

A secret of several lines is taken for so many secrets: what prints it may end its lines otherwise. Lines shorter than
`SHORTEST` are left alone, they are in everything.
"""

import hashlib
import hmac
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import msgspec

__all__ = ["SHORTEST", "Fingerprint", "Redaction", "Redactor", "take_fingerprints"]

SHORTEST = 8
"""Bytes. What is shorter could be found by trying, and would be hidden where it is none."""
_HEAD = 2  # bytes that tell where to look closer
_CHECK = 2  # bytes of a fast hash, so that the slow one is hardly ever needed
_FEW = 3  # bytes of a secret that tell nothing
_ROUNDS = 20_000  # of the slow one: 5 ms


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """By what a secret is known again; the secret itself is not to be had from it. Bytes are in hexadecimal."""

    name: str
    length: int
    """In bytes."""
    head: str
    """Its first two bytes."""
    salt: str
    check: str
    digest: str


class _Span(NamedTuple):
    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class _Known:
    """A secret whose value is known."""

    name: str
    value: bytes

    @property
    def length(self) -> int:
        return len(self.value)

    def find(self, data: bytes, start: int) -> int:
        return data.find(self.value, start)

    def open_at(self, data: bytes, start: int) -> int:
        """Where its beginning stands at the end of the data; -1 where it does not."""
        for at in range(max(start, len(data) - self.length + 1), len(data)):
            if self.value.startswith(data[at:]):
                return at
        return -1


@dataclass(slots=True)
class _Marked:
    """A secret of which there is only a fingerprint."""

    print: Fingerprint
    name: str = field(init=False)
    length: int = field(init=False)
    _head: bytes = field(init=False)
    _seen: bytes | None = None

    def __post_init__(self) -> None:
        self.name, self.length = self.print.name, self.print.length
        self._head = bytes.fromhex(self.print.head)

    def find(self, data: bytes, start: int) -> int:
        if self._seen is not None:
            return data.find(self._seen, start)
        at = data.find(self._head, start)
        while 0 <= at <= len(data) - self.length:
            if self._is(data[at : at + self.length]):
                self._seen = data[at : at + self.length]
                return at
            at = data.find(self._head, at + 1)
        return -1

    def open_at(self, data: bytes, start: int) -> int:
        start = max(start, len(data) - self.length + 1)
        at = data.find(self._head, start)
        if at >= 0:
            return at
        last = len(data) - 1
        return last if last >= start and data.endswith(self._head[:1]) else -1

    def _is(self, piece: bytes) -> bool:
        salt = bytes.fromhex(self.print.salt)
        return _check(piece, salt) == self.print.check and _digest(piece, salt) == self.print.digest


_Pattern: TypeAlias = _Known | _Marked


def take_fingerprints(secrets: Iterable[tuple[str, str]], salts: Iterable[bytes]) -> tuple[Fingerprint, ...]:
    """``salts``: one for each line of each secret, random."""
    return tuple(
        Fingerprint(
            name=name,
            length=len(value),
            head=value[:_HEAD].hex(),
            salt=salt.hex(),
            check=_check(value, salt),
            digest=_digest(value, salt),
        )
        for (name, value), salt in zip(_lines(secrets), salts, strict=False)
    )


@dataclass(slots=True)
class Redactor:
    """Knows some secrets."""

    patterns: tuple[_Pattern, ...] = ()

    @classmethod
    def of_values(cls, secrets: Iterable[tuple[str, str]]) -> "Redactor":
        return cls(tuple(_Known(name, value) for name, value in _lines(secrets)))

    @classmethod
    def of_fingerprints(cls, prints: Iterable[Fingerprint]) -> "Redactor":
        return cls(tuple(_Marked(each) for each in prints))

    def learn(self, other: "Redactor") -> None:
        """Know what this one knows, instead of what was known before. In one step: others may be at it."""
        self.patterns = other.patterns

    @property
    def longest(self) -> int:
        """In bytes; 0 where it knows none."""
        return max((pattern.length for pattern in self.patterns), default=0)

    def finds(self, data: bytes) -> bool:
        return any(pattern.find(data, 0) >= 0 for pattern in self.patterns)

    def redact(self, data: bytes) -> bytes:
        """All of something, with ``***NAME***`` in place of each secret."""
        return _put(data, self.spans(data)) if self.patterns else data

    def redact_text(self, text: str) -> str:
        if not self.patterns:
            return text
        data = text.encode("utf-8", "surrogatepass")
        return self.redact(data).decode("utf-8", "surrogatepass") if self.finds(data) else text

    def mask(self, data: bytes) -> bytes:
        """As many bytes as there were, with stars in place of each secret, and of what may be the beginning of one at
        the end: more may follow."""
        if not self.patterns:
            return data
        spans = self.spans(data)
        parts, done = [], 0
        for start, end, name in spans:
            mark = b"***%b***" % name.encode()
            parts += [data[done:start], (mark if len(mark) <= end - start else b"").ljust(end - start, b"*")]
            done = end
        open_at = max(self.settled(data, spans), done)
        open_at = open_at if open_at < len(data) - _FEW else len(data)
        return b"".join((*parts, data[done:open_at])).ljust(len(data), b"*")

    def spans(self, data: bytes) -> list[_Span]:
        """Where the secrets stand, in order; those that overlap are one."""
        found: list[_Span] = []
        for pattern in self.patterns:
            at = pattern.find(data, 0)
            while at >= 0:
                found.append(_Span(at, at + pattern.length, pattern.name))
                at = pattern.find(data, at + pattern.length)
        return _merge(sorted(found, key=lambda span: (span.start, -span.end, span.name)))

    def settled(self, data: bytes, spans: Sequence[_Span]) -> int:
        """Up to here nothing that comes behind the data changes anything."""
        end = len(data)
        for pattern in self.patterns:
            done = max((span.end for span in spans if span.name == pattern.name), default=0)
            at = pattern.open_at(data, 0 if len(self.patterns) > 1 else done)
            end = end if at < 0 else min(end, at)
        for span in reversed(spans):
            if span.start < end < span.end:
                end = span.start
        return end


@dataclass(slots=True)
class Redaction:
    """Of one stream: however its bytes are cut, the same comes of them."""

    redactor: Redactor
    start: float = 0
    """From this byte on it is shown, with what stands for a secret that begins before."""
    end: float = math.inf
    _at: int = 0
    """How many bytes are settled."""
    _held: bytes = b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown now. The rest comes with what follows."""
        data = self._held + data
        spans = self.redactor.spans(data)
        end = self.redactor.settled(data, spans)
        self._held = data[end:]
        return self._show(data[:end], [span for span in spans if span.end <= end])

    def finish(self) -> bytes:
        """What was held back: nothing follows."""
        held, self._held = self._held, b""
        return self._show(held, self.redactor.spans(held))

    def _show(self, data: bytes, spans: Sequence[_Span]) -> bytes:
        first, last = max(self.start - self._at, 0), max(self.end - self._at, 0)
        parts, done = [], 0
        for start, end, name in (*spans, _Span(len(data), len(data), "")):
            parts.append(data[int(max(done, min(first, len(data)))) : int(min(start, last, len(data)))])
            if name and end > first and start < last:
                parts.append(b"***%b***" % name.encode())
            done = end
        self._at += len(data)
        return b"".join(parts)


def _merge(spans: Sequence[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for span in spans:
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = _Span(last.start, max(last.end, span.end), last.name)
        else:
            merged.append(span)
    return merged


def _put(data: bytes, spans: Sequence[_Span]) -> bytes:
    parts, done = [], 0
    for start, end, name in spans:
        parts += [data[done:start], b"***%b***" % name.encode()]
        done = end
    return b"".join((*parts, data[done:])) if spans else data


def _lines(secrets: Iterable[tuple[str, str]]) -> list[tuple[str, bytes]]:
    lines = [(name, line.strip().encode()) for name, value in secrets for line in value.splitlines()]
    return [(name, line) for name, line in dict.fromkeys(lines) if len(line) >= SHORTEST]


def _check(value: bytes, salt: bytes) -> str:
    return hmac.digest(salt, value, "sha256")[:_CHECK].hex()


def _digest(value: bytes, salt: bytes) -> str:
    return hashlib.pbkdf2_hmac("sha256", value, salt, _ROUNDS).hex()
