"""Text of others as characters that every terminal shows, in cells that can be told beforehand."""

import re
from unicodedata import category, normalize

from protocols.lines import printable

__all__ = ["simplify"]

_MARKS = 2  # on one character; more are made to disfigure the rows around it
_REMEMBERED = 8192
_UNKNOWN = "\ufffd"
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)  # two of them are one flag, in some terminals
_IGNORED = frozenset(
    (
        *(0x034F, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x16FE4),  # marks that nobody sees
        *range(0xFE00, 0xFE10),  # variation selectors: some terminals make the character before them wide
        *range(0xE0100, 0xE01F0),
        *range(0x1F3FB, 0x1F400),  # skin tones
    )
)
_DISPUTED = frozenset(
    (
        *(0x115F, 0x3164, 0xFFA0),  # Hangul fillers
        *(0x302E, 0x302F, 0x16FF0, 0x16FF1),  # marks that some terminals show behind their character
        *range(0x2630, 0x2638),  # trigrams and the like, which Unicode 16 made wide
        *range(0x268A, 0x2690),
        *range(0x4DC0, 0x4E00),
        *range(0x1D300, 0x1D357),
        *range(0x1D360, 0x1D377),
    )
)
_LONE_JAMO = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb]")  # no cell behind their consonant, one of their own elsewhere


def simplify(text: str, *, ascii_only: bool = False) -> str:
    """One line of ``text`` that takes the same cells on every terminal, with nothing that moves, colours or reorders.

    Composed where that can be; without invisible characters, skin tones and more than two marks on a character; with
    U+FFFD for what has no sure width. ``ascii_only``: letters without their accents, ``?`` for all that is not ASCII.
    Simplifying it again changes nothing.
    """
    if not (text.isascii() and text.isprintable()):
        text = normalize("NFC", printable(text).translate(_clean))
        text = _few_marks(_LONE_JAMO.sub(_UNKNOWN, text))
    return text if not ascii_only or text.isascii() else text.translate(_ascii)


class _Clean(dict[int, str]):
    """What stands for a character, by its code: worked out when it is seen first."""

    def __missing__(self, code: int) -> str:
        found = _cleaned(code)
        if len(self) < _REMEMBERED:
            self[code] = found
        return found


class _Ascii(dict[int, str]):
    """The same for a terminal that knows only ASCII."""

    def __missing__(self, code: int) -> str:
        found = _as_ascii(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = found
        return found


_clean = _Clean()
_ascii = _Ascii()


def _cleaned(code: int) -> str:
    if code in _IGNORED:
        return ""
    if code in _FLAG_LETTERS:
        return chr(code - _FLAG_LETTERS.start + ord("A"))
    char = chr(code)
    match category(char):
        case "Cf" | "Me":  # a mark that encloses is drawn around the next character too
            return ""
        case "Zs":
            return "  " if code == 0x3000 else " "
        case _:
            return char if char.isprintable() and code not in _DISPUTED else _UNKNOWN


def _as_ascii(char: str) -> str:
    plain = "".join(part for part in normalize("NFKD", char) if category(part) != "Mn")
    return plain if plain.isascii() and plain.isprintable() else "?"


def _few_marks(text: str) -> str:
    """The text without marks that have no character before them, and those that are too many on one."""
    kept: list[str] = []
    marks = _MARKS
    for char in text:
        marks = marks + 1 if category(char) == "Mn" else 0
        if marks <= _MARKS:
            kept.append(char)
    return "".join(kept)
