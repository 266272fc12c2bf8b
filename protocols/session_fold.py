"""One session of an agent server with its children: events, snapshots and commands in, changes out.

A prompt is over when its session is idle, its newest answer is complete and no child works any more; never before the
server has shown our own message. Snapshots repair what the stream did not tell, and never undo what is newer. No clock
is read: the same calls give the same changes, so that a log of them brings a fold back.
"""

from dataclasses import dataclass

from protocols.ids import WorkerId
from protocols.opencode import Envelope, Snapshot
from protocols.session_changes import Change

__all__ = ["SessionFold"]


@dataclass(slots=True, kw_only=True)
class SessionFold:
    """All moments are Unix time, and never before those of an earlier call."""

    session: str
    worker: WorkerId
    attempt: int
    reasoning: bool = True
    """Write what the agent thinks too."""

    @property
    def running(self) -> bool:
        """A prompt was sent and is not over."""
        raise NotImplementedError

    @property
    def doubt_at(self) -> float | None:
        """When to ask the server for a snapshot, where nothing comes until then: all but the last word was said."""
        raise NotImplementedError

    def begin(self, at: float, *, server: str, directory: str, title: str = "", resumed: bool = False) -> list[Change]:
        """The session is there."""
        raise NotImplementedError

    def prompt(self, message: str, text: str, at: float) -> list[Change]:
        """A prompt is about to be sent under this id (`opencode_dialect.make_message_id`)."""
        raise NotImplementedError

    def refuse(self, error: str, at: float, *, code: str = "", retryable: bool = False) -> list[Change]:
        """The server did not take the prompt: it failed."""
        raise NotImplementedError

    def abort(self, at: float, outcome: str = "aborted") -> list[Change]:
        """The end was asked for: ``aborted``, or ``timed-out`` where that is why."""
        raise NotImplementedError

    def lose(self, why: str, at: float) -> list[Change]:
        """Nobody waits any longer: what is open ends as asked for by `abort`, else as ``lost``."""
        raise NotImplementedError

    def apply(self, event: Envelope, at: float) -> list[Change]:
        """An event of the session or of a child, which came at this moment."""
        raise NotImplementedError

    def reconcile(self, snapshot: Snapshot, at: float) -> list[Change]:
        """What the server says of the session or of a child."""
        raise NotImplementedError

    def miss(self, at: float, *, restarted: bool = False) -> list[Change]:
        """Events may be lost from here on: disconnected, connected again, or too many. ``restarted``: it is another
        server process, so what is unfinished in the next snapshot stays so for ever."""
        raise NotImplementedError
