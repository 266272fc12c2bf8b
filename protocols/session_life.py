"""What happens to a session and its children, by events and by snapshots: their states, and the story that is told."""

from dataclasses import dataclass, replace
from math import inf
from typing import assert_never

from protocols.opencode import Snapshot
from protocols.opencode_dialect import (
    BecameIdle,
    ErrorTold,
    MessageInfo,
    MessageUpdated,
    PartDelta,
    PartUpdated,
    Payload,
    PermissionReply,
    PermissionRequest,
    Problem,
    QuestionRejected,
    QuestionReplied,
    QuestionRequest,
    SessionCreated,
    SessionDeleted,
    SessionInfo,
    SessionUpdated,
    Status,
    StatusChanged,
    TodosUpdated,
)
from protocols.session_changes import Change
from protocols.session_end import BUSY_TOO_LONG
from protocols.session_family import Family
from protocols.session_place import Place
from protocols.session_snapshot import Picture
from protocols.session_state import SessionState
from protocols.session_story import Story

__all__ = ["Life"]

_IDLE = Status()


@dataclass(slots=True)
class Life:
    family: Family
    story: Story
    error: Problem | None = None
    """Of the session itself, that was told first since it was prompted, or began to work: what follows is a trace."""
    error_step: int = 0
    watching: bool = False
    """No prompt's end tells the errors of the session itself."""
    first_told: float = inf
    """When the first message was made of which an event told, by the server's clock."""

    @property
    def failed(self) -> bool:
        """It told an error, and rests since then."""
        root = self.family.root
        return self.error is not None and root.word == "idle" and root.idle_step > self.error_step

    def apply(self, payload: Payload, step: int, place: Place, parent: str) -> list[Change]:
        if isinstance(payload, SessionCreated | SessionUpdated):
            info = payload.info
            return self.family.welcome(SessionInfo(info.id, info.parent or parent, info.title), place)
        state = self.family.find(place.session)
        if state is None:  # a child of which only this is known yet
            return [
                *self.family.welcome(SessionInfo(place.session, parent), place),
                *self.apply(payload, step, place, parent),
            ]
        if not isinstance(payload, StatusChanged) or payload.status.type != state.word:
            state.news(step, place.at)
        return self._take(payload, state, step, place)

    def _take(self, payload: Payload, state: SessionState, step: int, place: Place) -> list[Change]:
        match payload:
            case PartDelta():
                return self.story.delta(payload, place)
            case PartUpdated():
                message = state.messages.get(payload.part.message)
                prompt = message is not None and message.role == "user"
                changes = self.story.part(payload.part, place, prompt=prompt)
                return [*changes, *self._status(state, place, payload)]
            case MessageUpdated():
                return self._message(payload.info, state, step, place)
            case StatusChanged() | BecameIdle():
                status = _IDLE if isinstance(payload, BecameIdle) else payload.status
                return self._word(status, state, step, place)
            case ErrorTold() | SessionDeleted() | TodosUpdated():
                return self._told(payload, state, step, place)
            case SessionCreated() | SessionUpdated():
                return []
            case _:
                return self._ask(payload, place)

    def _told(
        self, payload: ErrorTold | SessionDeleted | TodosUpdated, state: SessionState, step: int, place: Place
    ) -> list[Change]:
        own = state is self.family.root
        match payload:
            case ErrorTold():
                error = payload.error or Problem("UnknownError")
                if own:
                    self.error, self.error_step = self.error or error, step
                return [] if own and not self.watching else self.story.error(error, place)
            case SessionDeleted():
                return self._deleted(state, place)
            case TodosUpdated():
                return self.story.todos(payload.todos, place) if own else []
            case _:
                assert_never(payload)

    def _ask(
        self,
        payload: PermissionRequest | PermissionReply | QuestionRequest | QuestionReplied | QuestionRejected,
        place: Place,
    ) -> list[Change]:
        asks = self.story.asks
        match payload:
            case PermissionRequest():
                return asks.permission(payload, place)
            case QuestionRequest():
                return asks.question(payload, place)
            case PermissionReply():
                return asks.answered(payload.id, payload.reply or "replied", place)
            case QuestionReplied():
                return asks.answered(payload.id, "replied", place)
            case QuestionRejected():
                return asks.answered(payload.id, "rejected", place)
            case _:
                assert_never(payload)

    def _status(self, state: SessionState, place: Place, told: PartUpdated | None = None) -> list[Change]:
        if state is not self.family.root:
            return []
        return self.story.status(state, place, None if told is None else told.part)

    def _message(self, info: MessageInfo, state: SessionState, step: int, place: Place) -> list[Change]:
        if not place.reconciled:
            self.first_told = min(self.first_told, info.time.created)
        before = state.newest
        message, completed = state.take_message(info, step)
        if before is not None and state.newest is not before:
            self.story.texts.forget(before.id)
        if not completed or message.role != "assistant":
            return []
        return self.story.usage(info, place)

    def _word(self, status: Status, state: SessionState, step: int, place: Place, *, sure: bool = True) -> list[Change]:
        worked = state.works
        state.take_word(status, step, place.at, sure=sure)
        changes: list[Change] = []
        if state.works and not worked and state is self.family.root:
            self.error = None
        if state.word == "retry":
            changes += self.story.retry(status, place)
        elif state is self.family.root:
            self.story.retried()
        if state.word == "idle":
            changes += self.story.rest(place)
            changes += self.story.asks.withdraw(place)
        changes += self._status(state, place)
        return [*changes, *self.family.changed(state, place, worked=worked)]

    def _deleted(self, state: SessionState, place: Place) -> list[Change]:
        worked, state.deleted = state.works, True
        changes = [*self.story.rest(place), *self.story.asks.withdraw(place)]
        return [*changes, *self.family.changed(state, place, worked=worked)]

    def forget(self, place: Place) -> list[Change]:
        """The server is another process: nothing that was at work is."""
        changes: list[Change] = []
        for state in (self.family.root, *self.family.children.values()):
            of = replace(self._child_of(place, state.id), reconciled=True)
            worked, state.word = state.works, ""
            changes += [*self.story.rest(of), *self.story.asks.withdraw(of)]
            changes += self.family.changed(state, of, worked=worked)
        return changes

    def reconcile(
        self, snapshot: Snapshot, picture: Picture, step: int, place: Place, since: float | None
    ) -> list[Change]:
        """``since``: milliseconds of the server's clock; what was said before belongs to somebody else. None: all."""
        changes: list[Change] = []
        state = self.family.find(snapshot.session)
        if state is None:
            changes += self.family.welcome(SessionInfo(snapshot.session), place)
            state = self.family.children[snapshot.session]
        if not snapshot.known:
            return [*changes, *self._deleted(state, place)]
        for child in picture.children:
            if child.id and self.family.find(child.id) is None:
                changes += self.family.welcome(child, replace(place, session=child.id))
        for stored in picture.messages:
            if since is None or stored.info.time.created >= since:
                changes += self._message(stored.info, state, step, place)
                prompt = stored.info.role == "user"
                for part in stored.parts:
                    changes += self.story.part(part, place, prompt=prompt)
        if snapshot.at > state.word_at:
            changes += self._reconciled_word(picture.status, state, step, snapshot, place)
        changes += self._reconciled_asks(snapshot, picture, place)
        if picture.todos is not None and state is self.family.root and snapshot.at > state.news_at:
            changes += self.story.todos(picture.todos, place)
        return changes

    def _reconciled_word(
        self, status: Status, state: SessionState, step: int, snapshot: Snapshot, place: Place
    ) -> list[Change]:
        """An idle that is only listed is sure where nothing more can follow on the newest answer."""
        newest = state.newest
        last = newest is not None and newest.is_last_word
        if state is not self.family.root and status.type != "idle" and last:
            status = _IDLE if state.held("busy", snapshot.at) >= BUSY_TOO_LONG else status
        changes = self._word(status, state, step + 1 if last else step, place, sure=last)
        state.word_at = snapshot.at
        return changes

    def _reconciled_asks(self, snapshot: Snapshot, picture: Picture, place: Place) -> list[Change]:
        asks, changes = self.story.asks, list[Change]()
        for permission in picture.permissions or ():
            if self._may_wait(permission.session):
                changes += asks.permission(permission, self._child_of(place, permission.session))
        for question in picture.questions or ():
            if self._may_wait(question.session):
                changes += asks.question(question, self._child_of(place, question.session))
        if picture.permissions is None or picture.questions is None:
            return changes
        waiting = {each.id for each in picture.permissions} | {each.id for each in picture.questions}
        return [*changes, *asks.withdraw(place, waiting=frozenset(waiting), before=snapshot.at)]

    def _may_wait(self, session: str) -> bool:
        """The server goes on listing those of sessions that ended."""
        state = self.family.find(session)
        return state is not None and state.word != "idle" and not state.deleted

    def _child_of(self, place: Place, session: str) -> Place:
        return replace(place, session=session, label=self.family.label(session))
