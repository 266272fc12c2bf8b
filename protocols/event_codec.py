"""Events and records as JSON, one line each, and back."""

import re

import msgspec

from protocols.events import Event, Record

__all__ = ["decode_event", "decode_record", "encode_any", "encode_event", "encode_record", "escape_json"]

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class _Numbered(msgspec.Struct, frozen=True):
    seq: int


_numbers: msgspec.json.Decoder[_Numbered] = msgspec.json.Decoder(_Numbered)


# JSON need not escape them, but terminals obey the first and `str.splitlines` ends a line at the others.
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")


def encode_event(event: Event) -> bytes:
    """One JSON object without line breaks and control characters.

    Text that is no Unicode (a path with odd bytes) comes as ``\\udcXX``.
    """
    return encode_any(event)


def encode_any(value: object) -> bytes:
    """As `encode_event` does."""
    try:
        data = _encoder.encode(value)
    except UnicodeEncodeError:
        data = _encoder.encode(_escape(msgspec.to_builtins(value)))
    return escape_json(data)


def escape_json(data: bytes) -> bytes:
    """The same JSON without the control characters that JSON need not escape."""
    return data if data.isascii() and b"\x7f" not in data else _CONTROLS.sub(_as_escape, data)


def _as_escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def _escape(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_escape(key): _escape(item) for key, item in value.items()}
        case list() | tuple():
            return [_escape(item) for item in value]
        case _:
            return value


def decode_event(data: bytes) -> Event:
    """Raise ``msgspec.ValidationError`` for what no version of ours has written."""
    return _decoder.decode(data)


def encode_record(record: Record) -> bytes:
    """The record as one JSON object: ``seq`` first, then the fields of its event."""
    return b'{"seq":%d,' % record.seq + encode_event(record.event)[1:]


def decode_record(data: bytes | msgspec.Raw) -> Record:
    """What `encode_record` made. Raise ``msgspec.ValidationError`` for anything else."""
    return Record(_numbers.decode(data).seq, _decoder.decode(data))
