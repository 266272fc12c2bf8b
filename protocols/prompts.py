"""What a terminal that stands still asks a person, or that it waits for the next order: read from its screen."""

from typing import Literal, NamedTuple, TypeAlias

from protocols.questions import find_question

__all__ = ["Kind", "Prompt", "Prompts", "Shown", "find_prompt"]

Kind: TypeAlias = Literal["permission", "question", "idle"]

_LONGEST = 200  # characters of a prompt that are told


class Shown(NamedTuple):
    """What a terminal shows."""

    rows: tuple[str, ...]
    """From above, all of them, without the blanks at their ends. Their cells are as many as the terminal has columns
    at most."""
    cursor: tuple[int, int]
    """Column and row, both from 0."""
    before: str
    """What stands in front of the cursor in its row."""

    @property
    def text(self) -> str:
        """All rows down to the last that is not empty, each with its end."""
        last = max((number for number, row in enumerate(self.rows, 1) if row), default=0)
        return "".join(f"{row}\n" for row in self.rows[:last])


class Prompt(NamedTuple):
    kind: Kind
    text: str
    """The row in which it stands. May hold odd characters."""


class Prompts(NamedTuple):
    """What to look for on the screen of one agent."""

    asks: tuple[str, ...] = ()
    """What stands in front of the cursor, in its row, where an answer is to be typed: at the end of what stands there,
    or anywhere where the marker itself ends with a blank. Besides what `protocols.questions` knows."""
    permission: tuple[str, ...] = ()
    """Pieces of the dialog in which it asks for permission, wherever they stand."""
    idle: tuple[str, ...] = ()
    """What is shown while it waits for its next order, and not while it works."""
    busy: tuple[str, ...] = ()
    """What is shown while it works: then it is not idle, whatever else is shown."""

    def with_those_of(self, others: "Prompts") -> "Prompts":
        return Prompts(*(tuple(dict.fromkeys((*own, *more))) for own, more in zip(self, others, strict=True)))


def find_prompt(shown: Shown, prompts: Prompts) -> Prompt | None:
    """What a screen on which nothing changes asks; None where it asks nothing that is known."""
    for row in reversed(shown.rows):
        if row and any(marker in row for marker in prompts.permission):
            return _prompt("permission", row)
    if any(_asks(shown.before, marker) for marker in prompts.asks) or find_question(
        shown.before.encode("utf-8", "replace")
    ):
        return _prompt("question", shown.before)
    if any(marker in row for row in shown.rows for marker in prompts.busy):
        return None
    for row in reversed(shown.rows):
        if row and any(marker in row for marker in prompts.idle):
            return _prompt("idle", row)
    return None


def _asks(before: str, marker: str) -> bool:
    if marker.endswith(" "):
        return marker in f"{before} "
    return before.endswith(marker) or before.rstrip(" :?>").endswith(marker)


def _prompt(kind: Kind, row: str) -> Prompt:
    text = row.strip()
    return Prompt(kind, text if len(text) <= _LONGEST else text[-_LONGEST:])
