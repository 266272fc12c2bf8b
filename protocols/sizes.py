"""Sizes as people read and write them: "999 B", "1.2 kB", "34 MB", "2GiB"."""

import re

__all__ = ["format_bytes", "parse_bytes"]

_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGT]?)(i?)B")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_LARGEST = 2**53  # what every format that the number travels in can hold


def format_bytes(count: float) -> str:
    """Three digits and a unit at most: 999 B, 1.2 kB, 34 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 9.95 and unit != "B" else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def parse_bytes(text: str) -> int:
    """The bytes that ``text`` means: "500kB", "34MB", "2GiB". Raises ValueError, with what to write instead."""
    match = _FORM.fullmatch(text)
    if match is None or (match[3] and not match[2]):
        if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
            raise ValueError(f'a size needs a unit; write "{text}MB"')
        raise ValueError('not a size; write it like "500kB", "34MB" or "2GiB"')
    unit: int = (1024 if match[3] else 1000) ** _POWERS[match[2]]
    size = round(float(match[1]) * unit)
    if size > _LARGEST:
        raise ValueError('more than any machine has; write at most "9000TB"')
    return size
