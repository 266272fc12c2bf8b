"""What a session's records tell of its liveness: its part of the evidence."""

from dataclasses import dataclass, field
from math import inf

from protocols.evidence import Mark, Question, Said
from protocols.session_events import (
    SessionEnded,
    SessionEvent,
    SessionPermission,
    SessionPrompted,
    SessionQuestion,
    SessionRetry,
    SessionStatus,
)

__all__ = ["SessionPulse"]


@dataclass(slots=True)
class SessionPulse:
    """Feed every event of the worker's session and of its children. Moments are those of the looks.

    That a child works is no excuse for silence: what it does is told as that of its parent.
    """

    last_event: float | None = None
    said: Said | None = None
    mark: Mark | None = None
    quota_until: float | None = None
    """Unix time."""
    _asked: dict[str, Question] = field(default_factory=dict)

    @property
    def question(self) -> Question | None:
        """The oldest that waits."""
        return next(iter(self._asked.values()), None)

    def apply(self, event: SessionEvent, moment: float) -> None:
        self.last_event = moment
        match event:
            case SessionPrompted():
                self._say("busy", moment)
            case SessionStatus():
                self._say("idle" if event.status == "idle" else "busy", moment)
                self.mark = Mark(event.doing) if event.doing else None
                if event.status != "retry":
                    self.quota_until = None
            case SessionRetry():
                self.quota_until = event.next_at or inf
            case SessionPermission() | SessionQuestion():
                self._ask(event, moment)
            case SessionEnded():
                self.quota_until = None
            case _:
                pass

    def _say(self, word: str, moment: float) -> None:
        if self.said is None or self.said.word != word:
            self.said = Said("idle" if word == "idle" else "busy", moment)

    def _ask(self, event: SessionPermission | SessionQuestion, moment: float) -> None:
        if event.state != "asked":
            self._asked.pop(event.id, None)
        elif isinstance(event, SessionPermission):
            self._asked[event.id] = Question(moment, "permission", f"{event.tool}: {' '.join(event.patterns)}")
        else:
            self._asked[event.id] = Question(moment, "question", event.text)
