"""What happens in a session, as a line of text for people."""

from protocols.events import Event
from protocols.opencode import TESTED_VERSIONS
from protocols.server_events import ServerEnded, ServerStarted
from protocols.session_events import SessionPermission, SessionQuestion, SessionRetry, SessionStarted

__all__ = ["server_text", "session_text"]


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


def _doubt(version: str) -> str:
    return "" if version in TESTED_VERSIONS else f"; callboard was tested with {', '.join(TESTED_VERSIONS)}"


def server_text(event: Event) -> str | None:
    """What became of an agent server."""
    match event:
        case ServerStarted() if event.boot > 1 and event.pid:
            return f"server {event.server}: answers again at {event.url}, pid {event.pid}"
        case ServerStarted():
            pid = f", pid {event.pid}" if event.pid else ""
            return f"server {event.server}: OpenCode {event.version} at {event.url}{pid}{_doubt(event.version)}"
        case ServerEnded(again_in=float(seconds)):
            return f"server {event.server}: {event.why}; started again in {seconds:.1f} s"
        case ServerEnded(given_up=True):
            return f"server {event.server}: {event.why}; it is given up"
        case _:
            return None
