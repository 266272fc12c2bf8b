"""The frame of what an OpenCode server says: an event, and what its state is when it is asked.

Source: opencode 1.18, ``GET /doc`` and recorded streams of ``/global/event`` and ``/event``.
"""

from typing import NamedTuple

__all__ = ["TESTED_VERSIONS", "Envelope", "Snapshot"]

TESTED_VERSIONS = ("1.18.33",)
"""Of the server, with which our tests run. Others may work as well."""


class Envelope(NamedTuple):
    """One event, whichever stream it came by."""

    id: str
    """``evt_…``, unique on its server; empty where there is none (server.heartbeat)."""
    type: str
    directory: str
    """Empty where the stream does not say it."""
    session: str
    """Empty where it is about no session."""
    parent: str
    """Of a session.created or session.updated: the session that this one is a child of."""
    payload: bytes
    """The JSON text of ``{"id", "type", "properties"}``."""
    at: float = 0.0
    """Wall clock, when we had it."""


class Snapshot(NamedTuple):
    """What the server says of one session, asked at ``at``: each the JSON text of an answer."""

    session: str
    at: float
    """Wall clock, when the first of the answers was asked for. What came by the stream since then is newer."""
    known: bool
    """False: the server has no such session (404)."""
    status: bytes
    """Of `/session/status`: the one of this session; empty: it is not listed, so it is idle."""
    messages: bytes
    """The last ones, a list of ``{info, parts}``, oldest first."""
    children: bytes
    """A list of sessions."""
    permissions: bytes
    """Those that wait, of this session and of its children; a list."""
    questions: bytes
    todos: bytes
