"""The course of one attempt on an agent server: what is to be done next, as its server, its plan and its end demand.

Nothing here acts: inputs come by the methods, and `SessionCourse.take_deeds` tells what there is to do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import assert_never

from protocols.errors import ServerErrorKind
from protocols.ids import CommandId
from protocols.opencode import Envelope, Snapshot
from protocols.session_changes import Change, PermissionAsked, PromptEnded, QuestionAsked, Tell, Withdrawn, Write
from protocols.session_deeds import Abort, Deed, Look, SendPrompt
from protocols.session_entries import (
    Aborted,
    Begun,
    Entry,
    Forsaken,
    Happened,
    Joined,
    Prompted,
    Reconciled,
    Refused,
    Ticked,
    Uncertain,
    Wanted,
)
from protocols.session_events import Outcome, SessionEvent, SessionPrompted
from protocols.session_fold import SessionFold
from protocols.session_requests import Requests
from protocols.session_sending import NOT_CARRIED_OUT, Prompts

__all__ = ["SessionCourse"]

_LOOK_EVERY = 5.0
_ABORT_EVERY = 1.0  # one that comes before the server has begun with a prompt does nothing
_LINGER = 0.3  # after an end the server still tells the final cost, and of an error the same end again


@dataclass(slots=True, kw_only=True)
class SessionCourse:
    """All moments are Unix time."""

    fold: SessionFold
    prompts: Prompts
    requests: Requests
    end: PromptEnded | None = None
    """How the last prompt ended, when no other will follow; None while the course goes on."""
    texts: list[str] = field(default_factory=list)
    """To be written, then emptied."""
    events: list[SessionEvent] = field(default_factory=list)
    """To be recorded, then emptied."""
    entries: list[Entry] = field(default_factory=list)
    """For the log, before anything is done; then emptied."""
    _deeds: list[Deed] = field(default_factory=list)
    _connected: bool = False
    _boot: int | None = None
    _news: bool = True
    """The next snapshot is kept whatever it says."""
    _stopping: bool = False
    _lose_at: float = inf
    _abort_at: float = inf
    _looked_at: float = -inf
    _ended_at: float = inf
    _at: float = 0.0

    def is_over(self) -> bool:
        """Nothing more is to be waited for."""
        return self.end is not None and self._at >= self._ended_at + _LINGER

    @property
    def due(self) -> float:
        """When to `tick` at the latest."""
        text = inf if self.fold.due_at is None else self.fold.due_at
        if self.end is not None:
            return min(text, self.requests.due, self._ended_at + _LINGER)
        return min(text, self.requests.due, self._lose_at, self._abort_at, self._doubt_at())

    def begin(self, begun: Begun) -> None:
        self._record(begun)

    def restore(self, entries: Iterable[Entry], at: float, *, told: int = 0, boots_hold: bool = False) -> None:
        """Go on where an earlier callboard was killed. `texts` then is all that it has written, or was about to, and
        `events` those that it did not come to record: all but the first ``told``. ``boots_hold``: the numbers of boots
        mean the same as they did to that one."""
        for entry in entries:
            if isinstance(entry, Prompted):
                self.prompts.restore(entry.message, entry.at)
            if isinstance(entry, Joined) and boots_hold:
                self._boot = entry.boot
            self._stopping = self._stopping or isinstance(entry, Aborted)
            self._change(self._fold(entry))
            list(self.requests.answers(entry.at))  # whether they were given, nobody knows: they are given again
        del self.events[:told]
        self._deeds = [*self.requests.again()]
        self._moment(at)
        if self._stopping and self.fold.running:
            self._abort_at = at

    def connect(self, boot: int, at: float) -> None:
        restarted = self._boot is not None and boot != self._boot
        self._boot, self._connected = boot, True
        if self.prompts.number:
            self._miss("connected again", at, restarted=restarted)
        self._record(Joined(at=self._moment(at), boot=boot))
        self._go_on(at)

    def disconnect(self, why: str, at: float) -> None:
        self._connected = False
        self._miss(why, at)

    def miss(self, count: int, at: float) -> None:
        self._miss(f"{count} events came too fast", at)

    def hear(self, event: Envelope, at: float) -> None:
        """An event of the session, or of one of its children."""
        self.entries.append(Happened.of(event, self._moment(at)))
        self._change(self._hear(event))

    def see(self, snapshot: Snapshot, at: float) -> None:
        """What the server says of the session, or of one of its children."""
        moment = self._moment(at)
        changes = self._see(snapshot)
        if changes or self._news:
            self.entries.append(Reconciled.of(snapshot, moment))
        self._change(changes)
        if snapshot.session != self.fold.session:
            return
        self._news = False
        error = self.fold.error
        if self.fold.running and self.prompts.is_forgotten(snapshot, failed=error is not None):
            self._record(Refused.silently(error, self._at))
        again = self.prompts.look_up(snapshot)
        if again is None:
            self._record(Refused.silently(None, self._at))
        elif again:
            self._send()

    def want(self, command: CommandId, text: str, at: float) -> int | None:
        """One more prompt, from outside, behind the others. Return its number; None: its end has begun."""
        if command not in self.prompts.added:
            if self._stopping or self.end is not None:
                return None
            self._record(Wanted(at=self._moment(at), command=command, text=text))
        return self.prompts.number_of(command)

    def sent(self, message: str, error: str, kind: ServerErrorKind | None, at: float) -> None:
        """What came of `SendPrompt`; ``kind`` of the error, None where there is none."""
        moment = self._moment(at)
        if message != self.prompts.message or not self.fold.running:
            return
        if kind in NOT_CARRIED_OUT:
            self._record(Refused(at=moment, error=error, code=kind, retryable=kind == "conflict"))
        elif kind is not None:
            self.prompts.doubt(moment, never_left=kind == "unreachable")
        else:
            self.prompts.accept(moment)

    def stop(self, outcome: Outcome, grace: float, at: float) -> None:
        """End it: abort, and wait so many seconds for its end. Said again it can only become more urgent."""
        moment = self._moment(at)
        self._lose_at = min(self._lose_at, moment + grace)
        if self._stopping or self.end is not None:
            return
        self._stopping = True
        if not self.fold.running:
            self._finish(PromptEnded(message="", outcome="aborted", error="stopped before it had a prompt"))
            self._ended_at = -inf
            return
        self._record(Aborted(at=moment, outcome=outcome))
        self._abort_at = moment

    def forsake(self, why: str, at: float) -> None:
        """Wait no longer for anything."""
        if self.end is None:
            self._record(Forsaken(at=self._moment(at), why=why))
        if self.end is None:  # no prompt was under way
            self._finish(PromptEnded(message="", outcome="lost", error=why))

    def tick(self, at: float) -> None:
        """Do what is due."""
        moment = self._moment(at)
        if self.fold.due_at is not None and moment >= self.fold.due_at:
            self._record(Ticked(at=moment))
        if self.is_over():
            self._change(self.fold.flush(moment))
        if moment >= self._abort_at and self.end is None:
            self._abort_at = moment + _ABORT_EVERY
            self._deeds.append(Abort())
        if moment >= self._lose_at and self.end is None:
            self.forsake("it did not end in time when it was told to", moment)
        if moment >= self._doubt_at():
            self._looked_at = moment
            self._deeds.append(Look())

    def take_deeds(self) -> list[Deed]:
        """What is to be done now, each once."""
        deeds = [*self._deeds, *self.requests.answers(self._at)]
        self._deeds.clear()
        return deeds

    def _doubt_at(self) -> float:
        doubt = self.fold.doubt_at
        if self.prompts.state == "doubtful" and self.fold.running:
            doubt = self.prompts.doubted_at
        if doubt is None or self.end is not None or not self._connected:
            return inf
        return max(doubt, self._looked_at + _LOOK_EVERY)

    def _moment(self, at: float) -> float:
        """Clocks may be set back; the fold's never is."""
        self._at = max(self._at, at)
        return self._at

    def _miss(self, why: str, at: float, *, restarted: bool = False) -> None:
        self._news = True
        if restarted:
            self.prompts.restart(self._moment(at))
        elif self.prompts.state == "accepted":
            self.prompts.doubt(self._moment(at))
        self._record(Uncertain(at=self._moment(at), why=why, restarted=restarted))

    def _go_on(self, at: float) -> None:
        """Send the next prompt, where that is possible now."""
        if self.fold.running or self._stopping or self.end is not None or not self._connected:
            return
        self.prompts.next(self._moment(at))
        self._record(Prompted(at=self._moment(at), message=self.prompts.message, text=self.prompts.text))
        self._send()

    def _send(self) -> None:
        self._deeds.append(SendPrompt(self.prompts.message, self.prompts.body()))

    def _record(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._change(self._fold(entry))

    def _fold(self, entry: Entry) -> list[Change]:  # noqa: PLR0911 - one for each kind of entry
        """What it comes to, now or when it is read in the log."""
        fold, at = self.fold, self._moment(entry.at)
        match entry:
            case Begun():
                self.prompts.clock.at = max(self.prompts.clock.at, entry.created)
                return fold.begin(at, server=entry.server, directory=entry.directory, title=entry.title)
            case Prompted():
                return fold.prompt(entry.message, entry.text, at)
            case Happened():
                return self._hear(entry.envelope())
            case Reconciled():
                return self._see(entry.snapshot())
            case Uncertain():
                return fold.miss(at, restarted=entry.restarted)
            case Joined():
                return []
            case Wanted():
                return self.prompts.add(entry.command, entry.text)
            case Ticked():
                return fold.tick(at)
            case Aborted():
                return fold.abort(at, entry.outcome)
            case Refused():
                return fold.refuse(entry.error, at, code=entry.code, retryable=entry.retryable)
            case Forsaken():
                return fold.lose(entry.why, at)
            case _:
                assert_never(entry)

    def _hear(self, event: Envelope) -> list[Change]:
        self.prompts.clock.hear(event)
        return self.fold.apply(event, self._at)

    def _see(self, snapshot: Snapshot) -> list[Change]:
        self.prompts.clock.see(snapshot)
        return self.fold.reconcile(snapshot, self._at)

    def _change(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case Write():
                    self.texts.append(change.text)
                case Tell(event=event):
                    self.events.append(event)
                    if isinstance(event, SessionPrompted) and event.message == self.prompts.message:
                        self.prompts.arrive()
                case PermissionAsked() | QuestionAsked():
                    self.requests.ask(change, self._at)
                case Withdrawn():
                    self.requests.withdraw(change.id)
                case PromptEnded():
                    self._finish(change)
                case _:
                    assert_never(change)

    def _finish(self, ended: PromptEnded) -> None:
        if ended.outcome == "completed" and self.prompts.left and not self._stopping:
            self._go_on(self._at)
        else:
            self.end, self._ended_at = ended, self._at
