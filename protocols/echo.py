"""Whether a terminal shows a text, by the bytes that came to it since the text was typed."""

import re

from protocols.lines import strip_ansi

__all__ = ["shows"]

_LEAST = 1  # a character that is seen; what has none cannot be shown
_SPACE = re.compile(r"\s+")


def shows(painted: bytes, typed: bytes) -> bool:
    """However a program wraps it, and whatever it paints around it. Of control characters nothing can be seen."""
    wanted = _visible(typed)
    return len(wanted) >= _LEAST and wanted in _visible(painted)


def _visible(data: bytes) -> str:
    text = _SPACE.sub("", strip_ansi(data).decode("utf-8", "replace"))
    return "".join(character for character in text if character.isprintable())
