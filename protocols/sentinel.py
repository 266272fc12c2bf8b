"""Finds the line that ends a task in what its log file gets, however that is cut into pieces."""

__all__ = ["Sentinel"]

_END = b"\n"


class Sentinel:
    """Feed it all bytes in order. A line may end with ``\\r\\n``; in the middle of another line it does not count."""

    def __init__(self, line: str) -> None:
        """``line`` without its end. An empty one is never found."""
        self._line = line.encode("utf-8", "surrogateescape")
        self._ends = (_END + self._line + b"\n", _END + self._line + b"\r\n") if line else ()
        self._tail = _END

    def feed(self, data: bytes) -> bool:
        """Whether the line ended in this piece."""
        if not self._ends:
            return False
        text = self._tail + data
        self._tail = text[-(len(self._line) + 2) :]
        return any(end in text for end in self._ends)

    def finish(self) -> bool:
        """Nothing more comes: whether that makes it the last line, which had no end. Then begin anew."""
        last, self._tail = self._tail, _END
        return any(last.endswith(end.removesuffix(b"\n")) for end in self._ends)
