"""One session of an agent server with its children: events, snapshots and commands in, changes out.

A prompt is over when its session is idle, its newest answer is complete and no child works any more; never before the
server has shown our own message (`protocols.session_end` has the rules). Snapshots repair what the stream did not tell,
and never undo what is newer. No clock is read: the same calls give the same changes, so that a log of them brings a
fold back.
"""

from dataclasses import dataclass, field

import msgspec

from protocols.ids import WorkerId
from protocols.opencode import Envelope, Snapshot
from protocols.opencode_dialect import Problem, read_payload
from protocols.recent import RecentIds
from protocols.session_changes import Change, Tell, written
from protocols.session_events import Outcome, SessionStarted
from protocols.session_family import Family
from protocols.session_life import Life
from protocols.session_place import Place
from protocols.session_prompts import Prompts
from protocols.session_snapshot import read_snapshot
from protocols.session_state import SessionState
from protocols.session_story import Story
from protocols.session_text import SessionText

__all__ = ["SessionFold"]

_REMEMBERED = 4096  # ids of events


@dataclass(slots=True, kw_only=True)
class SessionFold:
    """All moments are Unix time, and never before those of an earlier call."""

    session: str
    worker: WorkerId
    attempt: int
    reasoning: bool = True
    """Write what the agent thinks too."""
    watching: bool = False
    """Somebody else prompts it: then no prompt's end tells the errors."""
    label: str = ""
    """In front of the headings of its blocks; of children with their name behind it."""
    text: SessionText = field(default_factory=SessionText)
    """Where several sessions are written to one place, one for all of them."""
    broken: int = 0
    """Events and snapshots that nobody could read. Nothing came of them."""
    _life: Life = field(init=False)
    _prompts: Prompts = field(init=False)
    _step: int = 0
    _ids: RecentIds = field(default_factory=lambda: RecentIds(_REMEMBERED))

    def __post_init__(self) -> None:
        story = Story(self.reasoning, self.text)
        self._life = Life(Family(SessionState(self.session), self.label), story, watching=self.watching)
        self._prompts = Prompts(self._life)

    @property
    def running(self) -> bool:
        """A prompt was sent and is not over."""
        return bool(self._prompts.open)

    @property
    def error(self) -> Problem | None:
        """That the session told since it was prompted, or began to work."""
        return self._life.error

    @property
    def doubt_at(self) -> float | None:
        """When to ask the server for a snapshot, where nothing comes until then: all but the last word was said."""
        return self._prompts.doubt_at

    @property
    def due_at(self) -> float | None:
        """When to call `tick`, where nothing comes until then; None: no text waits."""
        return self.text.due_at

    def begin(self, at: float, *, server: str, directory: str, title: str = "", resumed: bool = False) -> list[Change]:
        """The session is there."""
        fields = self._place(self.session, at).fields()
        return [Tell(SessionStarted(**fields, server=server, directory=directory, title=title, resumed=resumed))]

    def prompt(self, message: str, text: str, at: float) -> list[Change]:
        """A prompt is about to be sent under this id (`opencode_dialect.make_message_id`), for the first time or, where
        the server does not have it, once more."""
        self._prompts.send(message, text, at)
        return []

    def refuse(self, error: str, at: float, *, code: str = "", retryable: bool = False) -> list[Change]:
        """The server did not take the prompt that was sent last: it failed."""
        return self._prompts.refuse(error, code, retryable, self._place(self.session, at))

    def abort(self, at: float, outcome: Outcome = "aborted") -> list[Change]:
        """The end was asked for: ``aborted``, or ``timed-out`` where that is why."""
        self._prompts.abort(outcome, at)
        return []

    def lose(self, why: str, at: float) -> list[Change]:
        """Nobody waits any longer: what is open ends as asked for by `abort`, else as ``lost``."""
        place = self._place(self.session, at)
        return [*self._prompts.conclude("given-up", place, why), *self.flush(at)]

    def tick(self, at: float) -> list[Change]:
        """Text that has waited long enough."""
        return written(self.text.tick(at))

    def flush(self, at: float) -> list[Change]:
        """All text that waits, because nothing will come any more."""
        return written(self.text.flush(at))

    def miss(self, at: float, *, restarted: bool = False) -> list[Change]:
        """Events may be lost from here on: disconnected, connected again, or too many. ``restarted``: it is another
        server process, so what is unfinished in the next snapshot stays so for ever."""
        self._life.story.texts.tear()
        self._prompts.miss(at)
        if not restarted:
            return []
        self._prompts.restarted_at = at
        return self._life.forget(self._place(self.session, at))

    def apply(self, event: Envelope, at: float) -> list[Change]:
        """An event of the session or of a child, which came at this moment."""
        if event.id and not self._ids.add(event.id):
            return []
        try:
            payload = read_payload(event.type, event.payload)
        except msgspec.DecodeError:
            self.broken += 1
            return []
        if payload is None:
            return []
        self._step += 1
        place = self._place(event.session or self.session, at)
        changes = self._life.apply(payload, self._step, place, event.parent)
        return [*changes, *self._prompts.look(self._place(self.session, at))]

    def reconcile(self, snapshot: Snapshot, at: float) -> list[Change]:
        """What the server says of the session or of a child."""
        try:
            picture = read_snapshot(snapshot)
        except msgspec.DecodeError:
            self.broken += 1
            return []
        self._step += 1
        self._prompts.ask(snapshot)
        place = self._place(snapshot.session, at, reconciled=True)
        changes = self._life.reconcile(
            snapshot, picture, self._step, place, self._prompts.first_of(picture, place.session)
        )
        place = self._place(self.session, at, reconciled=True)
        changes += self._prompts.look(place)
        return [*changes, *self._prompts.judge(snapshot, place)]

    def _place(self, session: str, at: float, *, reconciled: bool = False) -> Place:
        label = self._life.family.label(session)
        return Place(self.worker, self.attempt, session, at, label, reconciled)
