"""The prompts that were sent to a session: which of them the server has, and the one end of each."""

from dataclasses import dataclass, field

from protocols.opencode import Snapshot
from protocols.session_changes import LONGEST_ANSWER, Change, PromptEnded, Tell
from protocols.session_end import Prompt, answer_to, is_certain, is_over, pause_of, result
from protocols.session_events import Outcome, SessionEnded, SessionPrompted
from protocols.session_life import Life
from protocols.session_place import Place
from protocols.session_snapshot import Picture
from protocols.session_state import Word

__all__ = ["Prompts"]

_LONGEST = 2000  # characters of a prompt in a record
_SOON = 3.0  # seconds without news, until the server is asked
_LATER = 5.0  # between two questions
_UNSEEN = 10.0


@dataclass(slots=True)
class Prompts:
    life: Life
    open: list[Prompt] = field(default_factory=list)
    restarted_at: float | None = None
    _aborted: Outcome | None = None
    _aborted_at: float = 0.0
    _count: int = 0
    _since: float | None = None
    """When the first of them was made, in milliseconds of the server's clock."""
    _asked_at: float = 0.0
    """Of the last snapshot."""
    _missed_at: float | None = None
    """Events may have been lost, and no snapshot was asked for since then."""

    @property
    def doubt_at(self) -> float | None:
        root = self.life.family.root
        if not self.open:
            return None
        later = self._asked_at + _LATER
        if self._missed_at is not None:
            return max(self._missed_at, later)
        if all(each.seen_at is None for each in self.open):
            return max(self.open[0].sent_at + (_UNSEEN if self.life.error is None else _SOON), later)
        answer = answer_to(self.open[0], root)
        if self._is_over(self.open[0]):
            return max(root.news_at, later)
        said = (answer is not None and answer.is_last_word) or self.life.error is not None
        if not (said or self._aborted is not None or root.word == "idle" or root.suspected is not None):
            return None
        return max(root.news_at + _SOON, self._aborted_at + _SOON, later)

    def send(self, message: str, text: str, at: float) -> None:
        if not self.open:
            self.life.error = self._aborted = None
        for prompt in self.open:
            if prompt.message == message:  # it is sent once more
                prompt.sent_at = at
                return
        self._count += 1
        self.open.append(Prompt(message, text, self._count, at))

    def refuse(self, error: str, code: str, retryable: bool, place: Place) -> list[Change]:
        unseen = [each for each in self.open if each.seen_at is None]
        if not unseen:
            return []
        ended = PromptEnded(unseen[-1].message, "failed", "", error, code, None, retryable)
        return self._end(unseen[-1], ended, place)

    def abort(self, outcome: Outcome, at: float) -> None:
        if self.open and self._aborted is None:
            self._aborted, self._aborted_at = outcome, at

    def miss(self, at: float) -> None:
        """What is known may be too little to say what came out: a snapshot has to tell it."""
        if self.open:
            self._missed_at = at

    def first_of(self, picture: Picture, session: str) -> float | None:
        """Since when the messages of a session are ours; None: all are. Where nobody of us prompts, those are that the
        stream began to tell."""
        if session != self.life.family.root.id:
            return None
        if not self._count:
            return self.life.first_told
        if self._since is None:
            ours = {each.message for each in self.open}
            found = [each.info.time.created for each in picture.messages if each.info.id in ours]
            return min(found, default=float("inf"))
        return self._since

    def look(self, place: Place) -> list[Change]:
        """Something happened."""
        root, changes = self.life.family.root, list[Change]()
        for prompt in list(self.open):
            message = root.messages.get(prompt.message)
            if prompt.seen_at is None and message is not None:
                changes += self._see(prompt, message.created, place)
            if root.deleted:
                changes += self._conclude(prompt, "deleted", place)
            elif self._missed_at is None and self._is_over(prompt) and self._is_certain(prompt):
                changes += self._conclude(prompt, "no-answer", place)
        return changes

    def ask(self, snapshot: Snapshot) -> None:
        """A snapshot has come."""
        if snapshot.session == self.life.family.root.id:
            self._asked_at = max(self._asked_at, snapshot.at)
            if self._missed_at is not None and snapshot.at >= self._missed_at:
                self._missed_at = None

    def judge(self, snapshot: Snapshot, place: Place) -> list[Change]:
        """A snapshot was taken into account, and what is open may be over though the stream never said so."""
        root, changes = self.life.family.root, list[Change]()
        if snapshot.session != root.id or self._missed_at is not None:
            return []
        if self.life.family.working or root.news_at > snapshot.at:
            return []
        word: Word = "busy" if root.works else "idle"
        held = root.held(word, snapshot.at)
        for prompt in [each for each in self.open if each.seen_at is not None]:
            restarted = self.restarted_at is not None and prompt.sent_at < self.restarted_at <= snapshot.at
            pause = pause_of(word, answer_to(prompt, root), aborted=self._aborted is not None)
            if self._is_over(prompt) or (word == "idle" and restarted):
                pause = 0.0
            if pause is not None and held >= pause:
                changes += self._conclude(prompt, "restarted" if restarted else "no-answer", place)
        return changes

    def conclude(self, code: str, place: Place, why: str) -> list[Change]:
        """All that is open."""
        return [change for prompt in list(self.open) for change in self._conclude(prompt, code, place, why)]

    def _is_over(self, prompt: Prompt) -> bool:
        return not self.life.family.working and is_over(prompt, self.life.family.root, failed=self.life.failed)

    def _is_certain(self, prompt: Prompt) -> bool:
        return is_certain(answer_to(prompt, self.life.family.root), aborted=self._aborted is not None)

    def _see(self, prompt: Prompt, created: float, place: Place) -> list[Change]:
        prompt.seen_at, prompt.created = place.at, created
        if self._since is None:
            self._since = created
        text = prompt.text[:_LONGEST]
        event = SessionPrompted(**place.fields(), message=prompt.message, number=prompt.number, text=text)
        return [Tell(event)]

    def _conclude(self, prompt: Prompt, code: str, place: Place, why: str = "") -> list[Change]:
        root = self.life.family.root
        answer = answer_to(prompt, root)
        text = "" if answer is None else self.life.story.texts.answer(answer.id)[-LONGEST_ANSWER:]
        ended = result(prompt, answer, text, aborted=self._aborted, told=self.life.error, lost=code, why=why)
        return self._end(prompt, ended, place)

    def _end(self, prompt: Prompt, ended: PromptEnded, place: Place) -> list[Change]:
        self.open.remove(prompt)
        story = self.life.story
        changes = [*story.rest(place), *story.end(ended, place)]
        if not self.open:
            changes += story.asks.withdraw(place)
        event = SessionEnded(
            **place.fields(),
            message=ended.message,
            outcome=ended.outcome,
            error=ended.error,
            code=ended.code,
            status=ended.status,
            retryable=ended.retryable,
        )
        return [*changes, Tell(event), ended]
