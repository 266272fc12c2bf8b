"""What happens in a session, as a line of text for people."""

from protocols.events import Event
from protocols.session_events import SessionPermission, SessionQuestion, SessionRetry, SessionStarted

__all__ = ["session_text"]


def session_text(event: Event) -> str | None:
    """Without whose it is; None where it is not worth a line. May hold control characters."""
    match event:
        case SessionStarted() if not event.resumed:
            return f"session {event.session} on {event.server}"
        case SessionPermission(state="replied", reply="reject"):
            return f"refused to let it use {event.tool}: {', '.join(event.patterns)}"
        case SessionQuestion(state="asked"):
            return f"asks: {event.text}{_options(event)}"
        case SessionRetry():
            return f"its server tries the model again, try {event.number}: {event.message}"
        case _:
            return None


def _options(event: SessionQuestion) -> str:
    return f" ({' / '.join(event.options)})" if event.options else ""
