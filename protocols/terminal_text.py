"""A terminal's stream cut down to what places text: without colours, titles, and whatever else no text depends on."""

import codecs
import re

__all__ = ["TextStream", "find_fresh_start"]

# ECMA-48: control sequences, control strings (which the next ESC ends too), whatever else begins with ESC; then what
# may become one of these with the next bytes, and what is none.
_TOKEN = re.compile(
    r"\x1b\[(?P<mark>[<=>?]?)(?P<numbers>[0-?]*+)(?P<between>[ -/]*+)(?P<final>[@-~])"
    r"|\x1b[P\]X^_][^\x07\x18\x1a\x1b]*+(?:[\x07\x18\x1a]|\x1b\\|(?=\x1b[^\\]))"
    r"|\x1b(?P<short>[0-OQ-WYZ`-~])"
    r"|(?P<open>\x1b(?:(?P<control>\[[0-?]*+[ -/]*+)|(?P<string>[P\]X^_])[^\x07\x18\x1a\x1b]*+\x1b?|[ -/]*+)?\Z)"
    r"|\x1b(?:\[[0-?]*+[ -/]*+|[ -/]++[0-~]?)?|[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)
_PLAIN = re.compile(r"[^\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]*+\Z")
_LONGEST = 64  # characters of a control sequence that means something

# How many numbers each control sequence takes that moves the cursor or changes text. The others are left out.
_NUMBERS = {**dict.fromkeys("ABCDEFGJKLMPSTXZ@`abdeg", 1), **dict.fromkeys("Hfr", 2)}
_SAME = {"s": "\x1b7", "u": "\x1b8"}  # the cursor saved and restored, where a terminal has no margins
_SHORT = frozenset("78cDEHM")
_MODES = {"": {"4"}, "?": {"7", "25", "47", "1047", "1049"}}  # insert; wrap, cursor, alternate screens
_PARTS = {"J": 2, "K": 2}  # which part to erase is said by a number up to this; beyond, it is not on the screen
_CLEARS = (b"\x1bc", b"\x1b[2J", b"\x1b[H\x1b[J", b"\x1b[?1049h")


class TextStream:
    """Feed bytes, get text with only those escape sequences that place it, each in one simple form.

    How the bytes were cut makes no difference. UTF-8, with U+FFFD for what is none. What is kept between two calls is
    less than a hundred characters.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> str:
        text, self._rest = self._rest + self._decoder.decode(data), ""
        return text if _PLAIN.match(text) else _TOKEN.sub(self._replace, text)

    def _replace(self, found: re.Match[str]) -> str:
        if found["final"]:
            return _simple(found)
        if found["short"]:
            return found[0] if found["short"] in _SHORT else ""
        if found["open"]:
            self._rest = _shortened(found)
        return ""


def find_fresh_start(data: bytes) -> int:
    """Where in the middle of a terminal's stream to begin, so that what is shown is right soonest: at the last time
    that all was cleared, else behind the first line end; 0 where there is neither."""
    cleared = max(map(data.rfind, _CLEARS))
    return cleared if cleared >= 0 else data.find(b"\n") + 1


def _shortened(found: re.Match[str]) -> str:
    """What of the beginning of a sequence matters for its end."""
    text = found[0]
    if found["string"]:
        return text[:2] + "\x1b" * (text.endswith("\x1b"))
    if len(text) <= _LONGEST:
        return text
    return "\x1b[:" + " " * (text[-1] in " !\"#$%&'()*+,-./") if found["control"] else "\x1b "


def _simple(found: re.Match[str]) -> str:
    """A control sequence in its simple form; empty where it does not place text, or nobody can tell."""
    mark, final = found["mark"], found["final"]
    numbers = found["numbers"].split(";")
    if len(found[0]) > _LONGEST or found["between"] or not all(number.isdecimal() or not number for number in numbers):
        return ""
    if final in "hl":
        known = [number for number in numbers if number in _MODES.get(mark, ())]
        return f"\x1b[{mark}{';'.join(known)}{final}" if known else ""
    if mark or final not in _NUMBERS:
        return "" if mark else _SAME.get(final, "")
    most = [str(min(int(number), 9999)) if number else "" for number in numbers[: _NUMBERS[final]]]
    if final in _PARTS and int(most[0] or 0) > _PARTS[final]:
        return ""
    return f"\x1b[{';'.join(most)}{final}"
