"""What somebody sees who watches an agent server: its sessions as text for people, or as JSON lines for programs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from protocols.event_codec import escape_json
from protocols.ids import WorkerId
from protocols.lines import printable
from protocols.opencode import Envelope, Snapshot
from protocols.session_changes import Change, Tell, Write
from protocols.session_fold import SessionFold
from protocols.session_text import SessionText

__all__ = ["Form", "SessionWatch"]

Form: TypeAlias = Literal["text", "json", "raw"]
"""``json``: our own events, and the text as ``session.text``. ``raw``: the server's events as it sent them."""
_NOBODY = WorkerId("")
_LABEL = 30


class _Titled(msgspec.Struct):
    title: str = ""


class _Properties(msgspec.Struct):
    info: _Titled = msgspec.field(default_factory=_Titled)


class _Payload(msgspec.Struct):
    properties: _Properties = msgspec.field(default_factory=_Properties)


_payloads: msgspec.json.Decoder[_Payload] = msgspec.json.Decoder(_Payload)


@dataclass(slots=True, kw_only=True)
class SessionWatch:
    """Each call returns what to print now. It holds no control characters but line ends and tabs."""

    only: str = ""
    """A session, of which all is shown with its children; empty: all sessions."""
    reasoning: bool = False
    form: Form = "text"
    over: bool = False
    """The only session was deleted."""
    _folds: dict[str, SessionFold] = field(default_factory=dict)
    _roots: dict[str, str] = field(default_factory=dict)
    """Of each session the one at the top of its family."""
    _directories: dict[str, str] = field(default_factory=dict)
    """Of the sessions at the top."""
    _labels: set[str] = field(default_factory=set)
    _text: SessionText = field(default_factory=SessionText)

    @property
    def due_at(self) -> float | None:
        """When to call `tick`, where nothing comes until then."""
        found = [each.due_at for each in self._folds.values()] if self.form == "json" else [self._text.due_at]
        return min((each for each in found if each is not None), default=None)

    def tick(self, at: float) -> str:
        if self.form == "json":
            return "".join(self._print(fold.session, fold.tick(at), at) for fold in self._folds.values())
        return _safe(self._text.tick(at))

    def places(self) -> list[tuple[str, tuple[str, ...]]]:
        """Each directory with the sessions that are watched in it."""
        found: dict[str, list[str]] = {}
        for session, directory in self._directories.items():
            found.setdefault(directory, []).append(session)
        return [(directory, tuple(sessions)) for directory, sessions in found.items()]

    def apply(self, event: Envelope, at: float) -> str:
        root = self._roots.get(event.session) or self._enroll(event)
        if not root or (self.only and root != self.only):
            return ""
        if event.directory:
            self._directories[root] = event.directory
        if event.type == "session.deleted" and event.session == self.only:
            self.over = True
        if self.form == "raw":
            return _compact(event.payload)
        fold = self._folds.get(root) or self._begin(root, event)
        return self._print(root, fold.apply(event, at), at)

    def reconcile(self, snapshot: Snapshot, at: float) -> str:
        fold = self._folds.get(self._roots.get(snapshot.session, ""))
        return "" if fold is None else self._print(fold.session, fold.reconcile(snapshot, at), at)

    def miss(self, at: float, *, restarted: bool = False) -> str:
        """Events may be lost from here on."""
        return "".join(
            self._print(fold.session, fold.miss(at, restarted=restarted), at) for fold in self._folds.values()
        )

    def say(self, text: str, at: float) -> str:
        """Something about the connection."""
        if self.form == "text":
            return _safe(self._text.add("CONNECTION", "", at, about=text))
        return _line({"type": "watch.connection", "at": at, "text": text}) if self.form == "json" else ""

    def _enroll(self, event: Envelope) -> str:
        """The top of the family of a session that is new."""
        if not event.session:
            return ""
        root = self._roots.get(event.parent, event.parent) or event.session
        if event.session == self.only:
            root = self.only
        if event.parent and root not in self._roots:
            self._roots[root] = root
        self._roots[event.session] = root
        return root

    def _begin(self, root: str, event: Envelope) -> SessionFold:
        label = "" if self.only else self._label(root, event)
        text = SessionText() if self.form == "json" else self._text
        fold = SessionFold(
            session=root, worker=_NOBODY, attempt=0, reasoning=self.reasoning, watching=True, label=label, text=text
        )
        self._folds[root] = fold
        return fold

    def _label(self, root: str, event: Envelope) -> str:
        """Its title, if that is known, and where another one has it with the end of its id."""
        end = root[-6:]
        try:
            title = _payloads.decode(event.payload).properties.info.title if event.session == root else ""
        except msgspec.DecodeError:
            title = ""
        name = printable(title).strip()[:_LABEL] or end
        label = f"{name} {end}" if name in self._labels else name
        self._labels.add(label)
        return label

    def _print(self, root: str, changes: Iterable[Change], at: float) -> str:
        if self.form == "text":
            return _safe("".join(change.text for change in changes if isinstance(change, Write)))
        lines: list[str] = []
        for change in changes:
            if isinstance(change, Write):
                lines.append(_line({"type": "session.text", "at": at, "session": root, "text": change.text}))
            elif isinstance(change, Tell):
                lines.append(_line(_fields(change)))
        return "".join(lines)


def _fields(told: Tell) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(told.event)
    return {name: value for name, value in fields.items() if name not in ("worker", "attempt")}


def _line(fields: dict[str, Any]) -> str:
    return escape_json(msgspec.json.encode(fields)).decode() + "\n"


def _compact(payload: bytes) -> str:
    """One event as one line."""
    return escape_json(msgspec.json.format(payload, indent=-1)).decode(errors="replace") + "\n"


def _safe(text: str) -> str:
    """Line ends and tabs stay; nothing moves, colours or reorders."""
    return "\n".join(
        "\t".join(printable(piece) for piece in line.removesuffix("\r").split("\t")) for line in text.split("\n")
    )
