"""Permissions and questions that a session or a child of it waits for: asked once, and gone once."""

from dataclasses import dataclass, field
from typing import Literal

from protocols.opencode_dialect import PermissionRequest, QuestionRequest
from protocols.session_changes import Change, PermissionAsked, QuestionAsked, Tell, Withdrawn, written
from protocols.session_events import SessionPermission, SessionQuestion
from protocols.session_place import Place
from protocols.session_text import SessionText
from protocols.session_tool_parts import ToolParts

__all__ = ["Asks"]


@dataclass(slots=True)
class _Ask:
    session: str
    at: float
    permission: bool


@dataclass(slots=True, kw_only=True)
class Asks:
    text: SessionText
    tools: ToolParts
    _waiting: dict[str, _Ask] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)
    """The server goes on listing some of those."""

    def permission(self, told: PermissionRequest, place: Place) -> list[Change]:
        if not self._is_new(told.id):
            return []
        self._waiting[told.id] = _Ask(told.session, place.at, True)
        call = self.tools.call(told.session, told.tool.call)
        command, path = told.metadata.get("command"), told.metadata.get("filepath")
        asked = PermissionAsked(
            told.id,
            told.session,
            told.permission,
            told.patterns,
            command if isinstance(command, str) else call.command if call is not None else "",
            path if isinstance(path, str) else call.path if call is not None else "",
            told.always,
        )
        what = asked.command or asked.path or " ".join(told.patterns)
        event = SessionPermission(
            **place.fields(), id=told.id, state="asked", tool=told.permission, patterns=told.patterns
        )
        shown = self.text.add("PERMISSION", "", place.at, about=f"{told.permission}: {what}", label=place.label)
        return [*written(shown), Tell(event), asked]

    def question(self, told: QuestionRequest, place: Place) -> list[Change]:
        if not self._is_new(told.id):
            return []
        self._waiting[told.id] = _Ask(told.session, place.at, False)
        questions = tuple((each.question, tuple(option.label for option in each.options)) for each in told.questions)
        text = "\n".join(question for question, _ in questions)
        options = tuple(option for _, labels in questions for option in labels)
        event = SessionQuestion(**place.fields(), id=told.id, state="asked", text=text, options=options)
        choice = f" ({' / '.join(options)})" if options else ""
        shown = self.text.add("QUESTION", "", place.at, about=f"{text}{choice}", label=place.label)
        return [*written(shown), Tell(event), QuestionAsked(told.id, told.session, questions)]

    def answered(self, name: str, reply: str, place: Place) -> list[Change]:
        """``reply`` of a permission, or ``replied`` or ``rejected`` for a question."""
        ask = self._waiting.pop(name, None)
        self._gone.add(name)
        if ask is None:
            return []
        return [
            *written(self.text.add("REPLY", "", place.at, about=reply, label=place.label)),
            _told(name, ask, reply, place),
            Withdrawn(name),
        ]

    def withdraw(
        self, place: Place, *, waiting: frozenset[str] = frozenset(), before: float | None = None
    ) -> list[Change]:
        """Those of this session that nobody waits for any more: all but ``waiting``, of those asked ``before``."""
        changes: list[Change] = []
        for name, ask in list(self._waiting.items()):
            if ask.session == place.session and name not in waiting and (before is None or ask.at < before):
                del self._waiting[name]
                self._gone.add(name)
                changes += [_told(name, ask, "", place), Withdrawn(name)]
        return changes

    def _is_new(self, name: str) -> bool:
        return name not in self._waiting and name not in self._gone


def _told(name: str, ask: _Ask, reply: str, place: Place) -> Tell:
    if ask.permission:
        return Tell(SessionPermission(**place.fields(), id=name, state="replied" if reply else "gone", reply=reply))
    state: Literal["rejected", "replied", "gone"] = "gone"
    if reply:
        state = "rejected" if reply == "rejected" else "replied"
    return Tell(SessionQuestion(**place.fields(), id=name, state=state))
