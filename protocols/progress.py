"""How far a worker is, read from the end of its output or from a Markdown checklist."""

import re
from collections.abc import Iterator

import msgspec

from protocols.lines import printable, strip_ansi

__all__ = ["TAIL", "Progress", "ProgressTracker", "find_progress", "read_checkboxes"]

TAIL = 4096
"""How many bytes at the end of the output are looked at."""

_LABEL_MAX = 80
_LABEL_BYTES = 240  # of which a label is made: 80 characters, with room for bars and wide characters
_STEP = 0.01 - 1e-9  # a percent, whatever the floats say

# Cheap signs over the whole tail, each beginning with a literal (that is what makes a search fast): a number before
# "%", one on both sides of "/" or " of ". Dates such as 2026/11/20 begin many log lines and are left out here.
_SIGNS = (
    re.compile(rb"%(?:(?<=\d%)|(?<=\d %))(?![\w%])"),
    re.compile(rb"/(?:(?<=\d/)|(?<=\d /))(?<!/\d/)(?<!/\d\d/) ?\d++(?!/)"),
    re.compile(rb" of (?:(?<=\d of )|(?<=out of ))\d"),
)
_WORDS = (b"progress:", b"processing", b"building", b"compiling", b"linking")

# The full rules, for one line. Not part of a path, a version, a date, a time, an address, a range or a longer number.
_FRACTION = re.compile(
    rb"(?<![\w/+-])(?<!\w[.,])(?<![\d:]:)"
    rb"(?:(?P<percent>\d{1,3}(?:\.\d{1,9})?) ?%(?![\w%])"
    rb"|(?P<done>\d{1,9})(?: ?/ ?| (?:out )?of )(?P<total>\d{1,9})(?![\w/%+-]|[.,:]\d))"
)
_ACTIVITY = re.compile(
    rb"(?<![^\s\[\](){}:>*|#=])(?:progress:|(?:processing|building|compiling|linking)(?![\w/-]|\.\w))", re.IGNORECASE
)
_ELLIPSES = (b"...", "…".encode())  # often without a newline until the work is done
_OVERWRITES = bytes.maketrans(b"\r\b", b"\n\n")
_LAST_TOKEN = bytes(byte for byte in range(256) if byte >= 0x80 or chr(byte).isalnum()) + b"_.,:/+-"

_BAR = re.compile(r"[\[(|<]\W*[\])|>]")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_ENDS = re.compile(r"""^\W+|[^\w)\]}"'!?]+$""")
_NOT_LETTERS = re.compile(r"[\W\d_]+")

_FENCE = re.compile(r"\s*(?:>\s*)*(`{3,}|~{3,})(.*)")
_CHECKBOX = re.compile(r"\s*(?:>\s*)*(?:[-*+]|\d{1,9}[.)])\s+\[([ xX])\](?:\s+(.*))?$")


class Progress(msgspec.Struct, frozen=True):
    fraction: float | None
    """0 to 1, or None where the worker told what it does but not how far it is."""
    label: str
    """At most 80 characters that a terminal can show; may be empty."""


def find_progress(tail: bytes, *, final: bool = False) -> Progress | None:
    """Return what the last marker in the output says: ``45%``, ``12/40``, ``12 of 40``, ``Compiling …``.

    ``tail`` is the last `TAIL` bytes, or all there is if that is less. What was cut at its start does not count, nor
    does the last word of a line that is not finished, unless ``final`` says that no more will come.
    """
    text = _whole_tokens(tail, final)
    below = len(text)
    for at in _signs(text):
        if at < below:
            start = text.rfind(b"\n", 0, at) + 1
            end = text.find(b"\n", at)
            found = _read_line(text[start:end]) if end >= 0 else _read_unfinished(text[start:])
            if found is not None:
                return found
            below = start
    return None


def _whole_tokens(tail: bytes, final: bool) -> bytes:
    text = tail[-TAIL:].translate(_OVERWRITES)
    if len(tail) >= TAIL:
        _, line_break, rest = text.partition(b"\n")
        text = rest if line_break else text.partition(b" ")[2]
    text = strip_ansi(text)
    if final or text.endswith(_ELLIPSES):
        return text + b"\n"
    return text.rstrip(_LAST_TOKEN)


def _signs(text: bytes) -> list[int]:
    """Where a marker may be, the last first."""
    found = [match.start() for sign in _SIGNS for match in sign.finditer(text)]
    lowered = text.lower()
    for word in _WORDS:
        at = lowered.rfind(word)
        while at >= 0:
            found.append(at)
            at = lowered.rfind(word, 0, at)
    return sorted(found, reverse=True)


def _read_line(line: bytes) -> Progress | None:
    marks = [(match, fraction) for match in _FRACTION.finditer(line) if (fraction := _fraction(match)) is not None]
    if not marks:
        return next((Progress(None, _clean(line[at:])) for at in _activities(line)), None)
    before = _clean(line[: marks[0][0].start()])
    after = _clean(line[marks[-1][0].end() :])
    label = before if _LETTERS.search(before) else after if _LETTERS.match(after) else ""
    return Progress(marks[-1][1], label)


def _read_unfinished(line: bytes) -> Progress | None:
    found = _read_line(line)
    return None if found is None or found.fraction is None else found


def _fraction(match: re.Match[bytes]) -> float | None:
    if percent := match["percent"]:
        return float(percent) / 100 if float(percent) <= 100 else None
    done, total = int(match["done"]), int(match["total"])
    return done / total if done <= total and total > 1 else None


def _activities(line: bytes) -> Iterator[int]:
    """Where a line says what is done: at its start or after a log prefix, not in the middle of a sentence."""
    for match in _ACTIVITY.finditer(line):
        before = line[: match.start()].rstrip()
        word = before[before.rfind(b" ") + 1 :]
        if not before[-1:].isalnum() or (word.isupper() and len(word) > 1):
            yield match.start()


def _clean(text: bytes) -> str:
    """Make a label: no progress bars, no brackets and punctuation around it."""
    shown = _BAR.sub(" ", printable(text[:_LABEL_BYTES].decode("utf-8", "replace")))
    return _ENDS.sub("", " ".join(shown.split()))[:_LABEL_MAX].rstrip()


def read_checkboxes(text: str) -> Progress | None:
    """Count the checkboxes of a Markdown list, nested ones too, outside of fenced code. None if there are none."""
    boxes = list(_checkboxes(text))
    if not boxes:
        return None
    done = sum(checked for checked, _ in boxes)
    first_open = next((printable(name).strip() for checked, name in boxes if not checked), "")
    return Progress(done / len(boxes), f"{done}/{len(boxes)} {first_open}"[:_LABEL_MAX].rstrip())


def _checkboxes(text: str) -> Iterator[tuple[bool, str]]:
    fence = ""
    for line in text.splitlines():
        if (mark := _FENCE.match(line)) is not None:
            if not fence:
                fence = "" if mark[1][0] == "`" and "`" in mark[2] else mark[1]
            elif mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif not fence and (box := _CHECKBOX.match(line)) is not None:
            yield box[1] != " ", box[2] or ""


class ProgressTracker:
    """Decide what is news: a percent or more in either direction, or another label.

    Where there is a fraction, digits in the label (a rate, the seconds that are left) are no news.
    """

    def __init__(self) -> None:
        self._last: Progress | None = None

    def changed(self, progress: Progress | None) -> bool:
        """True if this differs from the last one for which it was True. None is no news."""
        if progress is None or (self._last is not None and _same(self._last, progress)):
            return False
        self._last = progress
        return True


def _same(last: Progress, new: Progress) -> bool:
    if last.fraction is None or new.fraction is None:
        return last == new
    if (last.fraction == 1) != (new.fraction == 1) or abs(last.fraction - new.fraction) >= _STEP:
        return False
    return last.label == new.label or _NOT_LETTERS.sub("", last.label) == _NOT_LETTERS.sub("", new.label)
