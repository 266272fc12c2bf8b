"""One table of a TOML file, read key by key; every mistake in it is collected, none stops the reading."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from protocols.durations import parse_duration
from protocols.sizes import parse_bytes
from protocols.wording import did_you_mean, escaped, quote

__all__ = ["Problems", "Section"]

_Word = TypeVar("_Word", bound=str)

_ENOUGH = 50  # problems after which no more guesses are made: each compares with every candidate
_LARGEST = 1e15
_MOST = 1_000_000  # beyond any sensible count, and safe in every format that the number will travel in


class Problems:
    """The mistakes of one file, each once, as ``FILE: path.to.key: what; what to do``."""

    def __init__(self, file: str) -> None:
        self._file = escaped(file)
        self._lines: dict[str, None] = {}
        self.files: list[Problems] = []
        """Of other files that this one names."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Those of this file first."""
        return (*self._lines, *(line for file in self.files for line in file.lines))

    def add(self, path: str, message: str) -> None:
        self._lines[f"{self._file}: {f'{path}: ' if path else ''}{message}"] = None

    def guess(self, word: str, candidates: Iterable[str]) -> str:
        """`did_you_mean`, while there are few mistakes."""
        return did_you_mean(word, candidates) if len(self._lines) < _ENOUGH else ""


class Section:
    """Typed access to a table. A method returns None where the key is missing or wrong."""

    def __init__(self, table: Mapping[str, object], path: str, problems: Problems) -> None:
        self.path = path
        self._table = table
        self._problems = problems

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def get(self, key: str) -> object:
        """The value as it is, unchecked."""
        return self._table.get(key)

    def where(self, key: str) -> str:
        """The path of a key in messages, or of one in a table of it: ``for_each.from``."""
        name = key if re.fullmatch(r"[A-Za-z0-9_-]+(\.[a-z]+)?", key) else quote(key)
        return f"{self.path}.{name}" if self.path else name

    def reject(self, key: str, message: str) -> None:
        self._problems.add(self.where(key), message)

    def guess(self, word: str, candidates: Iterable[str]) -> str:
        """The end of a message that suggests what was meant, or nothing."""
        return self._problems.guess(word, candidates)

    def check_keys(self, known: Collection[str], hints: Mapping[str, str]) -> None:
        """Reject every key that is not known, with its hint or with the nearest known one."""
        for key in self._table:
            if key not in known:
                hint = hints.get(key)
                self.reject(key, hint or f"no such key{self.guess(key, known) or '; remove it'}")

    def flag(self, key: str) -> bool | None:
        value = self._table.get(key)
        if value is None or isinstance(value, bool):
            return value
        self._mistyped(self.where(key), "true or false", value)
        return None

    def count(self, key: str, least: int, most: int = _MOST) -> int | None:
        value = self._table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self._mistyped(self.where(key), "a whole number", value)
            return None
        if not least <= value <= most:
            self.reject(key, f"out of range; write a number from {least} to {most}")
            return None
        return value

    def number(self, key: str, *, whole: bool = False) -> float | None:
        """More than nothing, with a fraction or ``whole``."""
        value = self._table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            self._mistyped(self.where(key), "a whole number" if whole else "a number", value)
            return None
        if not 0 < value <= _LARGEST:
            self.reject(key, f"out of range; write a number above 0, up to {_LARGEST:.0f}")
            return None
        return value

    def duration(self, key: str, *, zero: bool) -> float | None:
        """Seconds. ``zero``: whether "0s" makes sense here."""
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            plain = not isinstance(value, bool) and isinstance(value, int | float) and 0 < value < 1e9
            example = quote(f"{value}s") if plain else '"90s"'
            self._mistyped(self.where(key), "a duration", value, f"; write {example}")
            return None
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.reject(key, f"{quote(value)}: {error}")
            return None
        if not seconds and not zero:
            self.reject(key, f"{quote(value)} is no time at all; write a longer one, or leave the key out")
            return None
        return seconds

    def size(self, key: str) -> int | None:
        """Bytes; none at all make no sense here."""
        text = self.text(key) if isinstance(self.get(key), str) else None
        if text is None:
            if key in self:
                self._mistyped(self.where(key), "a size", self.get(key), '; write it like "500MB"')
            return None
        try:
            size = parse_bytes(text)
        except ValueError as error:
            self.reject(key, f"{quote(text)}: {error}")
            return None
        if not size:
            self.reject(key, f"{quote(text)} is nothing at all; write more, or leave the key out")
            return None
        return size

    def text(self, key: str, *, empty: bool = False) -> str | None:
        """A string that the operating system can take: without NUL, and not ``empty`` unless that makes sense."""
        value = self._table.get(key)
        return None if value is None else self._text(self.where(key), value, empty)

    def choice(self, key: str, choices: Sequence[_Word], what: str) -> _Word | None:
        """One of a few words. ``what``: what any other one is not, such as ``no source``."""
        word = self.text(key)
        found = next((each for each in choices if each == word), None)
        if word is not None and found is None:
            *most, last = map(quote, choices)
            written = f"{', '.join(most)} or {last}" if most else last
            self.reject(key, f"{quote(word)} is {what}{self.guess(word, choices) or f'; write {written}'}")
        return found

    def strings(self, key: str) -> tuple[str, ...] | None:
        """A list of such strings; an empty one makes sense here."""
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            hint = f"; write [{quote(value)}]" if isinstance(value, str) else ""
            self._mistyped(self.where(key), "a list of strings", value, hint)
            return None
        found = [self._text(f"{self.where(key)}[{index}]", item, True) for index, item in enumerate(value)]
        said = tuple(item for item in found if item is not None)
        return said if len(said) == len(found) else None

    def table(self, key: str, write: str = "") -> "Section | None":
        """``write``: an example, for who has written something else."""
        value = self._table.get(key)
        return None if value is None else self._section(self.where(key), value, f"; write {write}" if write else "")

    def tables(self, key: str) -> list["Section | None"]:
        """A list of tables, None for each entry that is none."""
        value = self._table.get(key, [])
        if not isinstance(value, list):
            self._mistyped(self.where(key), "a list of tables", value, f"; write [[{key}]]")
            return []
        return [self._section(f"{self.where(key)}[{index}]", item) for index, item in enumerate(value)]

    def entries(self, key: str) -> "list[str | Section | None]":
        """A list in which strings and tables stand side by side, None for each entry that is neither."""
        value = self._table.get(key, [])
        if not isinstance(value, list):
            hint = f"; write [{quote(value)}]" if isinstance(value, str) else ""
            self._mistyped(self.where(key), "a list of strings", value, hint)
            return []
        return [self._entry(f"{self.where(key)}[{index}]", item) for index, item in enumerate(value)]

    def _entry(self, path: str, value: object) -> "str | Section | None":
        return self._section(path, value) if isinstance(value, dict) else self._text(path, value, True)

    def _section(self, path: str, value: object, hint: str = "") -> "Section | None":
        if isinstance(value, dict):
            return Section(value, path, self._problems)
        self._mistyped(path, "a table", value, hint)
        return None

    def _text(self, path: str, value: object, empty: bool) -> str | None:
        if not isinstance(value, str):
            plain = isinstance(value, int | float) and abs(value) < 1e9
            self._mistyped(path, "a string", value, f"; write {quote(str(value).lower())}" if plain else "")
            return None
        if "\0" in value:
            self._problems.add(path, "holds a NUL character, which no command, path or variable can; remove it")
            return None
        if not value and not empty:
            self._problems.add(path, "empty; write something, or leave the key out")
            return None
        return value

    def _mistyped(self, path: str, expected: str, value: object, hint: str = "") -> None:
        self._problems.add(path, f"expected {expected}, got {_kind(value)}{hint}")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int():
            return "a number"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "a table"
        case None:
            return "null"
    return "a date or a time"
