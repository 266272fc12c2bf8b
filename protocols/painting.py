"""Whether a screen that is painted again and again shows anything new: a spinner turns, and nothing is."""

import re
from collections.abc import Iterable

__all__ = ["Painting"]

_DURATION = re.compile(r"\b\d+(?:[.,]\d+)?\s?(?:ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?)\b|\b\d+(?::\d\d){1,2}\b")
_RUN = re.compile(r"([^\w\s])\1{3,}")  # a bar or a row of dots that grows is news
_PAINT = re.compile(r"[\W_]+")
_MOST = 2048  # rows that are remembered: some fifty screens


class Painting:
    """Remembers the rows that were shown lately. Times and single signs make no row another one; other numbers do."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def is_new(self, rows: Iterable[str]) -> bool:
        """Whether some of these rows were not shown before, as far as that is remembered."""
        found = {essence for row in rows if (essence := _essence(row))}
        new = not found <= self._known.keys()
        for essence in found:
            self._known.pop(essence, None)  # it is the youngest now
            self._known[essence] = None
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return new


def _essence(row: str) -> str:
    """What of a row says something; empty where nothing does."""
    runs = ",".join(f"{found[1]}{len(found[0])}" for found in _RUN.finditer(row))
    return _PAINT.sub(" ", _DURATION.sub("", row)).strip() + runs
