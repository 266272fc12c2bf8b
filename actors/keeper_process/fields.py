"""The fields of one message, taken by type; what is missing or wrong is said."""

from math import isfinite
from typing import NamedTuple

__all__ = ["BadRequestError", "Fields", "Window", "encode"]

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_LARGEST_WINDOW = 65535  # of struct winsize
_LONGEST_ID = 64  # it has to fit into the status file


class BadRequestError(Exception):
    """The message cannot be used; the text says why."""


class Window(NamedTuple):
    """The size of a terminal, in characters."""

    columns: int
    rows: int


class Fields:
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
        return _without_nul(name, encode(name, self.text(name)))

    def strings(self, name: str) -> list[bytes]:
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadRequestError(f"{name}: must be an array of strings")
        return [_without_nul(name, encode(name, item)) for item in value]

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


def encode(name: str, text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise BadRequestError(f"{name}: one character must be one byte (latin-1)") from exc


def _without_nul(name: str, data: bytes) -> bytes:
    if b"\0" in data:
        raise BadRequestError(f"{name}: holds a NUL byte, which no process can be given")
    return data
