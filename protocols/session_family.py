"""A session and its children: who there is, what they are called, and which of them work."""

from dataclasses import dataclass, field
from typing import Literal

from protocols.opencode_dialect import SessionInfo
from protocols.session_changes import Change, Tell
from protocols.session_events import SessionChild
from protocols.session_place import Place
from protocols.session_state import SessionState

__all__ = ["Family"]

_LABEL = 40


@dataclass(slots=True)
class Family:
    root: SessionState
    name: str = ""
    """Of the root, in front of its blocks."""
    children: dict[str, SessionState] = field(default_factory=dict)
    _labels: dict[str, str] = field(default_factory=dict)

    def find(self, session: str) -> SessionState | None:
        return self.root if session in ("", self.root.id) else self.children.get(session)

    def label(self, session: str) -> str:
        return self.name if session == self.root.id else self._labels.get(session, "")

    def welcome(self, info: SessionInfo, place: Place) -> list[Change]:
        """A session that may be new, or have another title now."""
        title, state = info.title or "", self.find(place.session)
        if state is not None:
            state.title = title or state.title
            return []
        state = SessionState(place.session, info.parent or self.root.id, title)
        self.children[place.session] = state
        self._labels[place.session] = self._name(title)
        return [_told(state, place, ended=False)]

    def changed(self, state: SessionState, place: Place, *, worked: bool) -> list[Change]:
        """A child works now, or does not any more."""
        if state is self.root or worked == state.works or (state.works and not state.ended):
            return []
        state.ended = not state.works
        return [_told(state, place, ended=state.ended)]

    @property
    def working(self) -> int:
        """How many children work."""
        return sum(each.works for each in self.children.values())

    def _name(self, title: str) -> str:
        name = title.partition(" (@")[0].strip().replace("\n", " ")[:_LABEL] or "child"
        name = f"{self.name}: {name}" if self.name else name
        known = set(self._labels.values())
        number = next(number for number in range(1, len(known) + 2) if _numbered(name, number) not in known)
        return _numbered(name, number)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} {number}"


def _told(state: SessionState, place: Place, *, ended: bool) -> Tell:
    what: Literal["started", "ended"] = "ended" if ended else "started"
    return Tell(SessionChild(**place.fields(), parent=state.parent, state=what, title=state.title))
