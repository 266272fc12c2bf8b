"""The program that looks whether an output is as its schema says, where that can take for ever: it limits itself.

It reads requests from stdin (two lengths of eight bytes, then the schema and the output), and answers each with a dot
at once and a line of JSON, `Answer`, in the end. Who uses up `LIMIT` seconds of CPU time is ended by the kernel before
that, whatever the interpreter is at; so nothing of it outlives whoever asked. It ends with its stdin, or unasked.
"""

import os
import select
import signal
import struct

import msgspec

from actors.json_schema import find_violations, read_schema
from protocols.json_text import parse_json
from protocols.task_output import DEEPEST

__all__ = ["HEADER", "LIMIT", "Answer"]

HEADER = struct.Struct("!QQ")
LIMIT = 10.0
_IDLE = 5.0
_CHUNK = 1 << 20


class Answer(msgspec.Struct, frozen=True):
    violations: tuple[str, ...] = ()
    problem: str = ""
    """What is wrong with the schema itself."""


def main() -> None:
    while select.select([0], [], [], _IDLE)[0] and len(header := _read(HEADER.size)) == HEADER.size:
        schema, data = (_read(size) for size in HEADER.unpack(header))
        os.write(1, b".")
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        answer = _answer(schema, data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(1, msgspec.json.encode(answer) + b"\n")


def _answer(schema: bytes, data: bytes) -> Answer:
    try:
        return Answer(find_violations(parse_json(data, DEEPEST), read_schema(schema)))
    except ValueError as error:
        return Answer(problem=str(error))


def _read(size: int) -> bytes:
    """Less only at the end."""
    data = bytearray()
    while len(data) < size and (piece := os.read(0, min(size - len(data), _CHUNK))):
        data += piece
    return bytes(data)


if __name__ == "__main__":
    main()
