"""Reads `tests/traces/`: evidence over time with the right verdict for each moment. Its README.md tells the format."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from protocols.evidence import Evidence
from protocols.liveness_states import State
from protocols.silence import Policy

__all__ = ["TRACES", "Header", "Moment", "read_trace"]

TRACES = sorted((Path(__file__).parent / "traces").glob("*.jsonl"))
_EPOCH = 1_700_000_000.0
_EVERY = 5.0


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    story: str
    source: str
    policy: Policy = Policy()


class _Line(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    start: float
    state: State
    confirmed: bool
    end: float | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    where: str
    evidence: Evidence
    state: State
    confirmed: bool
    because: str


def read_trace(path: Path) -> tuple[Header, list[Moment]]:
    first, *rest = path.read_bytes().splitlines()
    moments: list[Moment] = []
    facts: dict[str, Any] = {"asked_at": 0.0, "reader_at": "now"}
    for number, text in enumerate(rest, 2):
        said: dict[str, Any] = msgspec.json.decode(text)
        line = msgspec.convert(said, _Line)
        facts |= {name: value for name, value in said.items() if name not in _OF_LINE}
        for now in _looks(line):
            where = f"{path.name}:{number} at {now:g}"
            moments.append(Moment(where, _evidence(facts, now), line.state, line.confirmed, line.because))
    return msgspec.json.decode(first, type=Header), moments


_OF_LINE = {"from", "to", "state", "confirmed", "because"}


def _looks(line: _Line) -> Iterator[float]:
    now = line.start
    while now <= (line.start if line.end is None else line.end):
        yield now
        now += _EVERY


def _evidence(facts: dict[str, Any], now: float) -> Evidence:
    values = {name: now if value == "now" else value for name, value in facts.items()}
    values["wall"] = _EPOCH + now + values.pop("wall_ahead", 0.0)
    quota = values.pop("quota_until", None)
    if quota is not None:
        values["quota_until"] = math.inf if quota == "never" else _EPOCH + quota
    return msgspec.convert({"now": now, **values}, _Strict)


class _Strict(Evidence, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A slip of the pen in a trace is an error."""
