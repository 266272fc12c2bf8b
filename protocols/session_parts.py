"""What a session and its children say: text, reasoning and prompts, told by deltas, whole, and by snapshots.

What came of a part only adds up, whoever tells it, and however often.
"""

from dataclasses import dataclass, field

from protocols.opencode_dialect import Part, PartDelta
from protocols.session_text import SessionText

__all__ = ["TextParts"]

_KINDS = {"text": "TEXT", "reasoning": "REASONING"}
_PROMPT = "PROMPT"


@dataclass(slots=True)
class _Part:
    session: str
    message: str
    kind: str
    """Of its heading."""
    pieces: list[str] = field(default_factory=list)
    torn: bool = False
    """Something of it may be lost: deltas do not follow on what is there."""
    rested: bool = False
    """Its block was closed in the midst of it."""

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


@dataclass(slots=True, kw_only=True)
class TextParts:
    """Each call returns what to write."""

    text: SessionText
    reasoning: bool = True
    _open: dict[str, _Part] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)
    _answers: dict[str, dict[str, _Part]] = field(default_factory=dict)
    """The parts of each message whose text may be wanted."""

    def delta(self, delta: PartDelta, at: float, label: str) -> str:
        part = self._open.get(delta.part)
        if part is None or part.torn or delta.field != "text":
            return ""
        part.pieces.append(delta.delta)
        return self._write(delta.part, part, delta.delta, at, label)

    def take(self, told: Part, session: str, at: float, *, label: str, prompt: bool, reconciled: bool) -> str:
        """``prompt``: it is of a message to the agent."""
        if told.id in self._closed or told.type not in _KINDS or told.synthetic:
            return ""
        kind = _PROMPT if prompt else _KINDS[told.type]
        part = self._open.get(told.id)
        if part is None:
            part = self._open[told.id] = _Part(session, told.message, kind, torn=reconciled)
            if kind == "TEXT":
                self._answers.setdefault(told.message, {})[told.id] = part
        done = prompt or (told.time is not None and told.time.end is not None)
        return self._grow(told, part, at, label, done)

    def tear(self, session: str = "") -> None:
        """Events may have been lost, of this session or of all."""
        for part in self._open.values():
            part.torn = part.torn or session in ("", part.session)

    def rest(self, session: str, at: float) -> str:
        """The session rests: nothing of what is open goes on. A part whose end was lost may still be told whole."""
        shown = ""
        for name, part in self._open.items():
            if part.session == session:
                part.rested = part.rested or bool(part.pieces)
                shown += self.text.close(name, at)
        return shown

    def answer(self, message: str) -> str:
        """The text of a message."""
        return "".join(part.text for part in self._answers.get(message, {}).values())

    def forget(self, message: str) -> None:
        """Its text will not be wanted."""
        self._answers.pop(message, None)

    def _grow(self, told: Part, part: _Part, at: float, label: str, done: bool) -> str:
        full, known = told.text or "", part.text
        if not done and not full.startswith(known):
            part.torn = part.torn or not known.startswith(full)
            return ""
        part.pieces = [full]
        part.torn = part.torn and not (full and full != known)
        follows = full.startswith(known) and not (done and part.rested)
        if (
            done and len(full) <= len(known) and known.rstrip() == full.rstrip()
        ):  # the server cuts off white space at the end
            shown = ""
        elif follows:
            shown = self._write(told.id, part, full[len(known) :], at, label)
        else:  # what was written cannot be taken back: here is all of it
            part.kind, part.rested = f"{part.kind} again", False
            shown = self.text.close(told.id, at) + self._write(told.id, part, full, at, label)
        if not done:
            return shown
        del self._open[told.id]
        self._closed.add(told.id)
        return shown + self.text.close(told.id, at)

    def _write(self, name: str, part: _Part, text: str, at: float, label: str) -> str:
        if not text or (part.kind.startswith("REASONING") and not self.reasoning):
            return ""
        kind = f"{part.kind} continued" if part.rested else part.kind
        return self.text.grow(name, kind, text, at, label=label)
