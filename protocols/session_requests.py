"""Permissions and questions of sessions, and who answers them when: the plan, somebody else, or nobody in time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

import msgspec

from protocols.agents import Prompting
from protocols.durations import format_duration
from protocols.permission_policy import Ruling, decide
from protocols.session_changes import PermissionAsked, QuestionAsked

__all__ = ["Answer", "Requests"]

_Asked: TypeAlias = PermissionAsked | QuestionAsked


class Answer(msgspec.Struct, frozen=True):
    """To be given once. Where somebody else was faster the server says so, and that is well too."""

    id: str
    question: bool
    """It is a question, which can only be rejected."""
    allow: bool
    session: str = ""
    """Which asked: ours, or a child of it."""
    message: str = ""
    """For the agent, which then goes on without. A rejection without a word would end its turn."""


@dataclass(slots=True)
class Requests:
    """Those that wait for an answer. Moments are Unix time."""

    prompting: Prompting
    _waiting: dict[str, tuple[float, _Asked]] = field(default_factory=dict)
    """Until when somebody else may answer."""
    _given: dict[str, Answer] = field(default_factory=dict)

    @property
    def due(self) -> float:
        """When the first of them has waited long enough."""
        return min((until for until, _ in self._waiting.values()), default=inf)

    def ask(self, asked: _Asked, at: float) -> None:
        """The plan answers at once, at the next `answers`, or leaves it to others for a while."""
        if asked.id in self._given or asked.id in self._waiting:
            return
        reply = self._ruling(asked).reply
        self._waiting[asked.id] = (at + self.prompting.answer_within if reply == "ask" else at, asked)

    def withdraw(self, request: str) -> None:
        """It is answered, or nobody waits for it any more."""
        self._waiting.pop(request, None)
        self._given.pop(request, None)

    def answers(self, at: float) -> Iterator[Answer]:
        """What is to be answered now."""
        for request, (until, asked) in list(self._waiting.items()):
            if until <= at:
                del self._waiting[request]
                self._given[request] = self._answer(asked)
                yield self._given[request]

    def again(self) -> list[Answer]:
        """What was to be answered and may not have been."""
        return list(self._given.values())

    def _ruling(self, asked: _Asked) -> Ruling:
        match asked:
            case PermissionAsked():
                return decide(self.prompting, asked.tool, asked.patterns)
            case QuestionAsked():  # what the plan says of all else is no answer to a question
                rules = tuple(rule for rule in self.prompting.permissions if rule.tool == "question")
                only = msgspec.structs.replace(self.prompting, permissions=rules, otherwise="ask")
                return decide(only, "question", ())

    def _answer(self, asked: _Asked) -> Answer:
        ruling, prompting = self._ruling(asked), self.prompting
        question = isinstance(asked, QuestionAsked)
        if ruling.reply == "ask":
            allow = prompting.unanswered == "allow" and not question
            within = format_duration(prompting.answer_within) if prompting.answer_within else "no time"
            message = f"Nobody answered within {within}; go on without."
        else:
            allow = ruling.reply == "allow" and not question
            message = f"Denied by the plan: {ruling.why}. Go on without."
        return Answer(asked.id, question, allow, asked.session, "" if allow else message)
