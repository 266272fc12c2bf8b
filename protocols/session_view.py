"""What the records of a session add up to."""

from dataclasses import dataclass, field

from protocols.session_events import (
    SessionEnded,
    SessionEvent,
    SessionPermission,
    SessionPrompted,
    SessionStarted,
    SessionStatus,
    SessionTodos,
    SessionUsage,
)

__all__ = ["SessionView"]


@dataclass(slots=True)
class SessionView:
    started: SessionStarted | None = None
    status: SessionStatus | None = None
    usage: SessionUsage | None = None
    """Totals."""
    todos: SessionTodos | None = None
    prompts: int = 0
    """That the server has, or had."""
    told: int = 0
    """How many records its course comes to: without those of its being taken up again."""
    ended: tuple[SessionEnded, ...] = ()
    """The end of each prompt, in order."""
    permissions: dict[str, SessionPermission] = field(default_factory=dict)
    """That it waits for, by their ids."""

    def apply(self, event: SessionEvent) -> None:
        self.told += not (isinstance(event, SessionStarted) and event.resumed)
        match event:
            case SessionStarted():
                self.started = event
            case SessionStatus():
                self.status = event
            case SessionUsage():
                self.usage = event
            case SessionTodos():
                self.todos = event
            case SessionPrompted():
                self.prompts = max(self.prompts, event.number)
            case SessionPermission(id=name, state="asked"):
                self.permissions[name] = event
            case SessionPermission(id=name):
                self.permissions.pop(name, None)
            case SessionEnded():
                self.ended = (*self.ended, event)
            case _:
                pass
