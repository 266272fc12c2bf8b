"""A record as one line that a person can read."""

import time

import msgspec

from protocols.events import Record
from supervisor.table import one_line

__all__ = ["record_line"]

_FIRST = ("task", "worker", "attempt")
_LONGEST = 160  # characters of one field


def record_line(record: Record) -> str:
    """Number, time of day, type, whom it is about, and each field that says something."""
    event = record.event
    fields: dict[str, object] = msgspec.structs.asdict(event)
    milliseconds = int(event.at * 1000) % 1000
    moment = f"{time.strftime('%H:%M:%S', time.localtime(event.at))}.{milliseconds:03}"
    kind = str(event.__struct_config__.tag)
    about = "#".join(str(fields[name]) for name in _FIRST if fields.get(name))
    rest = " ".join(f"{name}={_value(value)}" for name, value in fields.items() if _says(name, value))
    return f"{record.seq:>6}  {moment}  {kind:<20}  {about:<16}  {rest}".rstrip()


def _says(name: str, value: object) -> bool:
    return name not in ("at", *_FIRST) and value is not False and value not in (None, "", ())


def _value(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
