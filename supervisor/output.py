"""How a run is shown: as somebody asked for it, or as the terminal allows."""

import os
from collections.abc import Mapping
from typing import Literal, TypeAlias

import trio

from actors.display import JsonText, LiveText, PlainText
from actors.messages import Said
from protocols.errors import InputError
from protocols.layout import FleetFolder
from supervisor.secrets import open_redactor

__all__ = ["Output", "choose_output", "make_text"]

Output: TypeAlias = Literal["live", "plain", "json"]

_STDOUT = 1
_SILENT = frozenset({None, "", "C", "POSIX"})
_CHARSETS = frozenset({"utf8", "utf-8"})


def choose_output(asked: Output | None, *, show_output: bool, environ: Mapping[str, str] = os.environ) -> Output:
    """A picture where standard output can show one. Raise `InputError` where it cannot, and is asked for."""
    if asked is not None and asked != "live":
        return asked
    if asked is None and (show_output or not os.isatty(_STDOUT)):
        return "plain"  # without what it takes to draw in memory
    obstacle = "there is no place for --show-output" if show_output else _obstacle(environ)
    if not obstacle:
        return "live"
    if asked is None:
        return "plain"
    raise InputError(f"--output live: {obstacle}; use --output plain")


def make_text(
    output: Output,
    folder: FleetFolder,
    *,
    show_output: bool = False,
    max_line: int = 2048,
    leaves: bool = False,
    said: trio.MemoryReceiveChannel[Said] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> JsonText | PlainText | LiveText:
    """``leaves`` and ``said``: see `LiveText`."""
    match output:
        case "json":
            return JsonText()
        case "plain":
            return PlainText(folder, show_output, max_line, leaves, redactor=open_redactor(folder))
        case "live":
            colour = not environ.get("NO_COLOR")
            return LiveText(
                colour=colour, ascii_only=not is_utf8(environ), leaves=leaves, redactor=open_redactor(folder), said=said
            )


def is_utf8(environ: Mapping[str, str]) -> bool:
    """Whether the terminal understands UTF-8. One that does not might obey parts of it.

    A locale that says nothing of it (none, as in many containers, or C) is no reason to doubt it, as for Python itself;
    ``LC_ALL=C`` asks for ASCII.
    """
    asked, locale = environ.get("LC_ALL"), environ.get("LC_CTYPE") or environ.get("LANG")
    if not asked and locale in _SILENT:
        return True
    name, _, charset = (asked or locale or "").partition("@")[0].lower().partition(".")
    return (charset or name) in _CHARSETS


def _obstacle(environ: Mapping[str, str]) -> str:
    """Why no picture can be drawn; empty where one can."""
    from actors.live.terminal import in_foreground, is_dull  # noqa: PLC0415 - see above

    if not os.isatty(_STDOUT):
        return "standard output is no terminal"
    if is_dull(environ):
        return f'TERM is "{environ.get("TERM", "")}", which says that the terminal cannot move its cursor'
    return "" if in_foreground(_STDOUT) else "it is started in the background"
