"""What is known of one session on an agent server: its status and messages, from events and snapshots alike."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from protocols.opencode_dialect import MessageInfo, Problem, Status, Tokens

__all__ = ["Message", "SessionState", "Word"]

Word: TypeAlias = Literal["", "busy", "idle", "retry"]
_GOES_ON = ("", "tool-calls", "unknown")
"""An answer that ended so is followed by another one, as a rule."""
_ABORTED = "MessageAbortedError"


@dataclass(slots=True)
class Message:
    """All that is said of it only adds up: a complete message never becomes incomplete."""

    id: str
    role: str
    parent: str = ""
    created: float = 0.0
    """Milliseconds of the server's clock."""
    completed_step: int | None = None
    """The step in which it was seen to be complete."""
    finish: str = ""
    error: Problem | None = None
    tokens: Tokens = field(default_factory=Tokens)
    cost: float = 0.0

    def take(self, info: MessageInfo, step: int) -> bool:
        """Return whether it is complete now and was not before."""
        self.parent, self.created = info.parent or self.parent, info.time.created or self.created
        self.finish, self.error = info.finish or self.finish, info.error or self.error
        self.tokens, self.cost = info.tokens or self.tokens, info.cost or self.cost
        if info.time.completed is None or self.completed_step is not None:
            return False
        self.completed_step = step
        return True

    @property
    def order(self) -> tuple[float, str]:
        return self.created, self.id

    @property
    def is_last_word(self) -> bool:
        """Complete, and nothing follows by itself."""
        return self.completed_step is not None and (self.error is not None or self.finish not in _GOES_ON)

    @property
    def was_aborted(self) -> bool:
        return self.error is not None and self.error.name == _ABORTED


@dataclass(slots=True)
class SessionState:
    """Steps count the events and snapshots of all sessions together."""

    id: str
    parent: str = ""
    title: str = ""
    word: Word = ""
    """Its status; empty: never heard of."""
    word_at: float = 0.0
    idle_step: int = 0
    """The step in which it was last seen idle."""
    news_step: int = 0
    """The step of the last event that was more than a repetition."""
    news_at: float = 0.0
    deleted: bool = False
    ended: bool = False
    """Of a child: that was told."""
    messages: dict[str, Message] = field(default_factory=dict)
    newest: Message | None = None
    """The newest answer."""
    suspected: tuple[str, int, float] | None = None
    """What the last snapshots looked like, since which step of news, and when the first of them was asked for."""

    def news(self, step: int, at: float) -> None:
        self.news_step, self.news_at = step, at

    def take_word(self, status: Status, step: int, at: float, *, sure: bool = True) -> bool:
        """Return whether it is another one than before. ``sure``: an idle counts as the end of what went before."""
        word: Word = "retry" if status.type == "retry" else "idle" if status.type == "idle" else "busy"
        before, self.word, self.word_at = self.word, word, at
        if word == "idle" and sure:
            self.idle_step = step
        return word != before

    def take_message(self, info: MessageInfo, step: int) -> tuple[Message, bool]:
        """Return it, and whether it is complete now and was not before."""
        message = self.messages.setdefault(info.id, Message(info.id, info.role))
        completed = message.take(info, step)
        newest = self.newest
        if info.role == "assistant" and (newest is None or message.order >= newest.order):
            self.newest = message
        return message, completed

    @property
    def works(self) -> bool:
        return self.word in ("busy", "retry") and not self.deleted

    def held(self, word: Word, asked_at: float) -> float:
        """A snapshot shows ``word``. For how many seconds others before it did so too, with nothing happening."""
        if self.suspected is None or self.suspected[:2] != (word, self.news_step):
            self.suspected = (word, self.news_step, asked_at)
        return asked_at - self.suspected[2]
