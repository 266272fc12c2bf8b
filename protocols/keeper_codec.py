"""What supervisor and keeper say to each other, as bytes."""

import os
from pathlib import Path

import msgspec

from protocols.keeper import Message, Request

__all__ = ["decode_message", "encode_request", "from_os", "os_text", "to_os"]

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode_request(request: Request) -> bytes:
    """One line, with its end."""
    return _encoder.encode(request) + b"\n"


def decode_message(line: bytes) -> Message:
    """Raise ``msgspec.ValidationError`` for what no keeper says."""
    return _decoder.decode(line)


def to_os(text: bytes) -> str:
    """Bytes of the operating system as protocol text."""
    return text.decode("latin-1")


def from_os(text: str) -> bytes:
    """Protocol text as bytes of the operating system."""
    return text.encode("latin-1")


def os_text(text: str | Path) -> str:
    """An argument or a path as protocol text."""
    return to_os(os.fsencode(text))
