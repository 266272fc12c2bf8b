"""What somebody outside wants of a session: a reply to what it asks, or one more prompt. Each is answered once."""

from dataclasses import dataclass, field

import msgspec
import trio

from actors.orders import Answer
from actors.replies import reply
from protocols.errors import SpawnError
from protocols.keeper_inputs import Permit, Prompt, Prompted, Written
from protocols.session_course import SessionCourse

__all__ = ["Wish", "Wishes"]

_OVER = "its session has ended"


@dataclass(frozen=True, slots=True)
class Wish:
    request: Permit | Prompt
    answer: trio.MemorySendChannel[Answer] | None


@dataclass(slots=True)
class Wishes:
    """Those that have no answer yet."""

    _told: list[tuple[Wish, Answer]] = field(default_factory=list)
    """Their answers, to be given when the log is on the disk."""
    _replies: dict[str, Wish] = field(default_factory=dict)
    """By the permission, until the server has the reply."""

    def take(self, wish: Wish, course: SessionCourse, at: float) -> None:
        match wish.request:
            case Prompt(command=command, text=text):
                number = course.want(command, text, at)
                self._told.append((wish, _refusal(_OVER, "EPIPE") if number is None else _ok(Prompted(number))))
            case Permit(permission=permission, reply=said, message=message):
                if why := course.requests.reply(permission, said, message):
                    reply(wish.answer, _refusal(f"{permission}: {why}", "ENOENT"))
                else:
                    self._replies[permission] = wish

    def tell(self) -> None:
        """The log is on the disk."""
        for wish, answer in self._told:
            reply(wish.answer, answer)
        self._told.clear()

    def answered(self, permission: str, refused: str) -> None:
        """The server has the reply, or has ``refused`` it, as somebody else was faster."""
        wish = self._replies.pop(permission, None)
        if wish is not None:
            reply(wish.answer, _refusal(f"{permission}: {refused}", "ENOENT") if refused else _ok(Written(0)))

    def close(self, rest: list[Wish]) -> None:
        """The session is over, also for the ``rest``, of which nobody has heard."""
        for wish in (*self._replies.values(), *(each for each, _ in self._told), *rest):
            reply(wish.answer, _refusal(_OVER, "EPIPE"))


def _ok(result: Prompted | Written) -> Answer:
    return Answer(msgspec.json.encode(result))


def _refusal(why: str, code: str) -> Answer:
    return Answer(error=SpawnError(why, code))
