"""How it is told that a server ended: in its own last words."""

from protocols.lines import strip_ansi

__all__ = ["exit_text", "last_words"]

_LINES = 3
_MOST = 300


def exit_text(code: int | None, signal: str | None) -> str:
    """Such as ``ended with exit code 3``."""
    if signal is not None:
        return f"was ended by {signal}"
    return "ended" if code is None else f"ended with exit code {code}"


def last_words(data: bytes) -> str:
    """The last lines that say something, as one line without colours; the end of them where they are long."""
    lines = strip_ansi(data.decode(errors="replace")).splitlines()
    shown = [" ".join("".join(char if char.isprintable() else " " for char in line).split()) for line in lines]
    text = " | ".join([line for line in shown if line][-_LINES:])
    return text if len(text) <= _MOST else "…" + text[1 - _MOST :]
