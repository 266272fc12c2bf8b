"""Where somebody is in the records of a fleet, as text: ``RUN:SEQ``. The ids of server-sent events are such."""

import re
from typing import NamedTuple

from protocols.ids import RunId

__all__ = ["Cursor", "parse_cursor"]

_CURSOR = re.compile(r"([a-z2-7]{8}):(0|[1-9][0-9]{0,17})", re.ASCII)


class Cursor(NamedTuple):
    run: RunId
    seq: int
    """The record that was read last; 0 for none."""

    def __str__(self) -> str:
        return f"{self.run}:{self.seq}"


def parse_cursor(text: str) -> Cursor:
    """Raise ValueError, with what is wrong, for anything else."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text[:40]}" is no cursor; one is the id of an event: RUN:SEQ, such as abcdefgh:17')
    return Cursor(RunId(found[1]), int(found[2]))
