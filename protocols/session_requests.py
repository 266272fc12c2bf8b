"""Permissions and questions of sessions, and who answers them when: the plan, somebody else, or nobody in time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Literal, TypeAlias

import msgspec

from protocols.agents import Prompting
from protocols.durations import format_duration
from protocols.permission_policy import Ruling, decide
from protocols.session_changes import PermissionAsked, QuestionAsked

__all__ = ["Answer", "Requests"]

_REJECTED = "Rejected by a person. Go on without."
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
    always: bool = False
    """What is like it is allowed too, from now on."""
    by: str = "the plan"


@dataclass(slots=True)
class Requests:
    """Those that wait for an answer. Moments are Unix time."""

    prompting: Prompting
    _waiting: dict[str, tuple[float, _Asked]] = field(default_factory=dict)
    """Until when somebody else may answer."""
    _given: dict[str, Answer] = field(default_factory=dict)
    _fresh: list[Answer] = field(default_factory=list)
    """Of somebody else, to be given."""

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

    def reply(self, request: str, reply: Literal["once", "always", "reject"], message: str) -> str:
        """Somebody else answers. Return why that is too late, or wrong; empty where he is the first: then it is among
        the next `answers`."""
        if given := self._given.get(request):
            return f"{given.by} has answered it already"
        if request not in self._waiting:
            return "nobody waits for it: it is answered, or gone, or never was"
        asked = self._waiting[request][1]
        if isinstance(asked, QuestionAsked) and reply != "reject":
            return "it is a question, which can only be rejected"
        del self._waiting[request]
        answer = Answer(
            id=request,
            question=isinstance(asked, QuestionAsked),
            allow=reply != "reject",
            session=asked.session,
            message=(message or _REJECTED) if reply == "reject" else "",
            always=reply == "always",
            by="somebody else",
        )
        self._given[request] = answer
        self._fresh.append(answer)
        return ""

    def withdraw(self, request: str) -> None:
        """It is answered, or nobody waits for it any more."""
        self._waiting.pop(request, None)
        self._given.pop(request, None)

    def answers(self, at: float) -> Iterator[Answer]:
        """What is to be answered now."""
        while self._fresh:
            yield self._fresh.pop(0)
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
