"""The tools of OpenCode: what a call does, what of its output is new, and what it means for a person who watches.

Source: opencode 1.18; names of tools and their arguments as recorded.
"""

import re
from typing import NamedTuple

from protocols.opencode_dialect import ToolState
from protocols.session_events import Doing

__all__ = ["ToolCall", "new_output", "tool_call"]

_SHELLS = frozenset(("bash", "shell"))
_READING = frozenset(("read", "grep", "glob", "list", "ls", "webfetch", "websearch", "codesearch", "lsp"))
_EDITING = frozenset(("edit", "write", "multiedit", "patch", "apply_patch"))
_QUIET = frozenset(("task", "todowrite", "todoread", "question", "read", "skill"))
_TOLD = frozenset(("todowrite", "todoread", "question"))
_TEST = re.compile(
    r"\b(?:pytest|unittest|tox|nox|jest|vitest|mocha|rspec|phpunit|ctest"
    r"|(?:go|cargo|npm|make|mvn) (?:run )?(?:test|check))\b"
)
_OVERLAP = 1000  # characters that have to be the same for the rest to be a continuation
_MOST = 4000  # characters shown of the output of what is no shell command
_ABOUT = 200


class ToolCall(NamedTuple):
    """One call of a tool, as far as its state tells."""

    kind: str
    """Its heading: ``BASH``, ``READ``, ``EDIT``, ``WRITE``, ``TOOL name``; empty where other events tell it."""
    about: str
    doing: Doing
    command: str = ""
    """Of a shell command."""
    path: str = ""
    changes: bool = False
    """It writes a file."""
    output: str = ""
    """As far as it is to be shown: of a shell command the end of it, of others the beginning."""
    error: str = ""
    code: int | None = None
    elsewhere: str = ""
    """The file in which all of its output is, where that was too much."""


def tool_call(name: str, state: ToolState) -> ToolCall:
    path = _text(state.input, "filePath") or _text(state.input, "path")
    error = state.error or "" if state.status == "error" else ""
    if name in _SHELLS:
        return _shell(state, error)
    if name in _EDITING:
        kind = "WRITE" if name == "write" else "EDIT"
        return ToolCall(
            kind, f"{path or state.title or name}{_size(state)}", "working", path=path, changes=True, error=error
        )
    if name == "read":
        return ToolCall("READ", path, "reading", path=path, error=error)
    output = "" if name in _QUIET else _shortened(state.output or "")
    if name == "invalid":
        error, output = output or "an unknown tool, or arguments that are no JSON", ""
    doing: Doing = "reading" if name in _READING else "working"
    kind = "" if name in _TOLD else f"TOOL {name}"
    return ToolCall(kind, _about(state, path), doing, path=path, output=output, error=error)


def _shell(state: ToolState, error: str) -> ToolCall:
    command = _text(state.input, "command")
    shown = _text(state.metadata, "output")
    if state.output is not None and state.output.startswith(shown):
        shown = state.output  # a note of the server stands behind it, such as that it was aborted
    code = state.metadata.get("exit")
    elsewhere = _text(state.metadata, "outputPath") if state.metadata.get("truncated") else ""
    doing: Doing = "testing" if _TEST.search(command) else "working"
    return ToolCall(
        "BASH",
        f"$ {command}",
        doing,
        command=command,
        output=shown,
        error=error,
        code=code if isinstance(code, int) else None,
        elsewhere=elsewhere,
    )


def _size(state: ToolState) -> str:
    """How many lines were added and removed, where that is told."""
    difference = state.metadata.get("filediff")
    if not isinstance(difference, dict):
        return ""
    added, removed = difference.get("additions"), difference.get("deletions")
    return f" (+{added} -{removed})" if isinstance(added, int) and isinstance(removed, int) else ""


def _about(state: ToolState, path: str) -> str:
    keys = ("description", "pattern", "query", "url", "name", "command")
    found = next((text for key in keys if (text := _text(state.input, key))), "")
    text = " in ".join(each for each in (found, path) if each) or state.title or ""
    return text if len(text) <= _ABOUT else f"{text[: _ABOUT - 1]}…"


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]}\n… ({len(text) - _MOST} more characters)"


def _text(values: dict[str, object], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def new_output(before: str, now: str) -> str:
    """What is new in the output so far, of which the server keeps only the end once it is long."""
    if now.startswith(before):
        return now[len(before) :]
    if before.startswith(now) or not now:
        return ""
    known = before[-_OVERLAP:]
    place = now.rfind(known)
    return now[place + len(known) :] if place >= 0 else f"\n…\n{now}"
