"""Rows as the bytes that make a terminal show them: only those that changed, each at its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.cells import Row, Size, Style, row_width

__all__ = ["Painter"]

# Terminals that know synchronized output show all of a picture at once; the others ignore the mode.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_CLEAR = "\x1b[2J"
_ERASE_ROW, _ERASE_REST = "\x1b[2K", "\x1b[K"
_PLAIN = "\x1b[m"
_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_ATTRIBUTES = frozenset({"bold", "dim"})


@dataclass(slots=True)
class Painter:
    """Knows what the terminal shows. Line wrapping has to be off there."""

    colour: bool = True
    """Without it there is still bold and dim."""
    _shown: list[Row] = field(default_factory=list)
    _size: Size | None = None
    _codes: dict[Style, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Somebody else wrote on the terminal: the next picture is painted as a whole."""
        self._size = None

    def paint(self, rows: Sequence[Row], size: Size) -> bytes:
        """What makes the terminal show these rows, the others empty; nothing where it shows them already.

        Rows for which it has no room are left out.
        """
        rows = rows[: size.rows]
        parts: list[str] = []
        if size != self._size:
            parts.append(_PLAIN + _CLEAR)
            self._size, self._shown = size, []
        count = max(len(rows), len(self._shown))
        for number in range(count):
            row = rows[number] if number < len(rows) else ()
            shown = self._shown[number] if number < len(self._shown) else ()
            if row != shown:
                parts.append(f"\x1b[{number + 1}H{self._painted(row, size.columns)}")
        self._shown = list(rows)
        return f"{_BEGIN}{''.join(parts)}{_END}".encode(errors="replace") if parts else b""

    def _painted(self, row: Row, columns: int) -> str:
        parts: list[str] = []
        for text, style in row:
            code = self._codes.get(style)
            if code is None:
                code = self._codes[style] = self._code(style)
            parts.append(f"{code}{text}{_PLAIN}" if code else text)
        text = "".join(parts)
        if not text.isascii():
            return _ERASE_ROW + text  # whatever cells it takes there, nothing of before is left
        # On the last column the cursor stays on what was just written: erasing would begin there.
        return text if row_width(row) >= columns else text + _ERASE_REST

    def _code(self, style: Style) -> str:
        """What begins the style; empty where nothing does."""
        codes = [_CODES[word] for word in style.split() if self.colour or word in _ATTRIBUTES]
        return f"\x1b[{';'.join(codes)}m" if codes else ""
