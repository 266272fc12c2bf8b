"""What tmux says of panes, and finding one's place in what they print."""

from typing import NamedTuple

__all__ = ["Death", "Until", "kind_of", "new_lines", "parse_death"]


class Death(NamedTuple):
    """How the program of a pane ended. Neither code nor signal: that is not known."""

    code: int | None = None
    signal: str | None = None
    """Its name or its number."""


def parse_death(line: str) -> Death | None:
    """``#{pane_dead} #{pane_dead_status} #{pane_dead_signal}``; None while that is not known.

    (For a moment the terminal is closed and the child not reaped. And tmux before 3.3 tells no signals.)
    """
    dead, code, signal = (*line.split(" "), "", "", "")[:3]
    if dead != "1":
        return None
    return Death(code=int(code)) if code.isdecimal() else Death(signal=signal) if signal else None


class Until:
    """Finds the first of some bytes in a stream, however it is cut."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """What surely comes before; and once it was found, what comes behind it."""
        data = self._held + data
        before, found, behind = data.partition(self._wanted)
        if found:
            self._held = b""
            return before, behind
        most = min(len(self._wanted) - 1, len(data))
        keep = next((count for count in range(most, 0, -1) if data.endswith(self._wanted[:count])), 0)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep], None


def kind_of(error: str) -> str:
    """The kind of a `TmuxError`, by what tmux says. (Its texts are the same in all versions from 3.0 on.)"""
    if error.startswith(("no server running", "error connecting", "lost server", "server exited")):
        return "server"
    return "target" if error.startswith(("can't find", "no sessions", "no current")) else "refused"


def new_lines(before: list[bytes], after: list[bytes]) -> list[bytes]:
    """What a later picture of a pane shows that an earlier one did not. Lines may have been added below, lost above,
    and the last one may have grown; it then comes once more. Of a screen that was painted anew that is all of it."""
    for lost in range(len(before)):
        kept = before[lost:-1]
        if after[: len(kept)] == kept:
            return after[len(kept) + (after[len(kept) : len(kept) + 1] == before[-1:]) :]
    return after
