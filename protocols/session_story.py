"""What a session and its children do, told as text and as events: parts of messages, questions, progress and costs."""

from dataclasses import dataclass, field

from protocols.opencode_dialect import MessageInfo, Part, PartDelta, Problem, Status, Todo
from protocols.session_asks import Asks
from protocols.session_changes import Change, PromptEnded, Tell, written
from protocols.session_events import Doing, SessionRetry, SessionStatus, SessionTodos, SessionUsage
from protocols.session_parts import TextParts
from protocols.session_place import Place
from protocols.session_state import SessionState
from protocols.session_text import SessionText
from protocols.session_tool_parts import ToolParts

__all__ = ["Story"]

_ENDS = {"failed": "FAILED", "aborted": "ABORTED", "timed-out": "TIMED OUT", "lost": "LOST"}
_DOING: dict[str, Doing] = {"text": "working", "reasoning": "thinking", "step-start": "thinking"}


@dataclass(slots=True)
class Story:
    reasoning: bool = True
    text: SessionText = field(default_factory=SessionText)
    texts: TextParts = field(init=False)
    tools: ToolParts = field(init=False)
    asks: Asks = field(init=False)
    _usage: dict[str, float] = field(default_factory=dict)
    _todos: tuple[Todo, ...] = ()
    _status: tuple[str, Doing] = ("", "")
    """Of the root, that was told last."""
    _retry: int = 0

    def __post_init__(self) -> None:
        self.texts = TextParts(text=self.text, reasoning=self.reasoning)
        self.tools = ToolParts(text=self.text)
        self.asks = Asks(text=self.text, tools=self.tools)

    def part(self, part: Part, place: Place, *, prompt: bool) -> list[Change]:
        """``prompt``: it is of a message to the agent."""
        if part.type == "tool":
            return self.tools.take(part, place)
        return written(
            self.texts.take(
                part, place.session, place.at, label=place.label, prompt=prompt, reconciled=place.reconciled
            )
        )

    def delta(self, delta: PartDelta, place: Place) -> list[Change]:
        return written(self.texts.delta(delta, place.at, place.label))

    def rest(self, place: Place) -> list[Change]:
        """The session rests."""
        return written(self.texts.rest(place.session, place.at) + self.tools.rest(place.session, place.at))

    def status(self, state: SessionState, place: Place, part: Part | None = None) -> list[Change]:
        """Of the root: tell it where it changed. ``part``: what came of it last."""
        word, doing = state.word, self._status[1]
        if word in ("", "idle"):
            doing = ""
        elif part is not None or not doing:
            kind = "" if part is None else part.type
            doing = self.tools.doing(place.session) or _DOING.get(kind, doing) or "thinking"
            if kind == "tool" and not self.tools.doing(place.session):
                doing = "thinking"
        if word == "" or (word, doing) == self._status:
            return []
        self._status = (word, doing)
        return [Tell(SessionStatus(**place.fields(), status=word, doing=doing))]

    def retry(self, status: Status, place: Place) -> list[Change]:
        self._retry, before = status.attempt, self._retry
        if before == status.attempt and not place.label:
            return []
        message = status.message or "the model did not answer"
        event = SessionRetry(**place.fields(), number=status.attempt, message=message, next_at=status.next / 1000)
        return [*self.rest(place), *self.say("RETRY", f"{status.attempt}: {message}", place), Tell(event)]

    def retried(self) -> None:
        self._retry = 0

    def usage(self, info: MessageInfo, place: Place) -> list[Change]:
        """An answer is complete."""
        tokens = info.tokens
        found: dict[str, float] = {"messages": 1, "cost": info.cost or 0.0}
        if tokens is not None:
            found |= {"input": tokens.input, "output": tokens.output, "reasoning": tokens.reasoning}
            found |= {"cache_read": tokens.cache.read, "cache_write": tokens.cache.write}
        for name, amount in found.items():
            self._usage[name] = self._usage.get(name, 0) + amount
        totals = {name: round(amount, 9) if name == "cost" else int(amount) for name, amount in self._usage.items()}
        fields = {**place.fields(), **totals, **self.tools.counts}
        return [Tell(SessionUsage(**fields))]

    def todos(self, todos: tuple[Todo, ...], place: Place) -> list[Change]:
        if todos == self._todos:
            return []
        self._todos = todos
        counted = [each for each in todos if each.status != "cancelled"]
        done = sum(each.status == "completed" for each in counted)
        current = next((each.content for each in counted if each.status == "in_progress"), "")
        marks = {"completed": "x", "in_progress": ">", "cancelled": "-"}
        lines = "".join(f"[{marks.get(each.status, ' ')}] {each.content}\n" for each in todos)
        shown = self.text.add("TODO", lines, place.at, about=f"{done}/{len(counted)}", label=place.label)
        return [*written(shown), Tell(SessionTodos(**place.fields(), done=done, total=len(counted), current=current))]

    def error(self, error: Problem, place: Place) -> list[Change]:
        return self.say("ERROR", f"{error.message} ({error.name})", place)

    def end(self, ended: PromptEnded, place: Place) -> list[Change]:
        if ended.outcome == "completed":
            return []
        code = f" ({ended.code})" if ended.code and ended.code not in ended.error else ""
        return self.say(_ENDS[ended.outcome], f"{ended.error}{code}", place)

    def say(self, kind: str, about: str, place: Place) -> list[Change]:
        return written(self.text.add(kind, "", place.at, about=about, label=place.label))
