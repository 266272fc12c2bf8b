"""The prompts of one session, one after another: under which id each is sent, and what is known of its way.

A prompt whose call failed may have arrived all the same. It is never sent again on suspicion: the server is asked, and
only where it does not have the message it gets it again, under the same id. That it does not have it *yet* proves
nothing: opencode 1.18 accepts a prompt and makes its message later, a busy one after seconds; one that gets it twice
puts its text into the message twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

import msgspec

from protocols.agents import Prompting
from protocols.errors import ServerErrorKind
from protocols.ids import CommandId
from protocols.opencode import Envelope, Snapshot
from protocols.opencode_dialect import make_message_id
from protocols.session_changes import Change

__all__ = ["NOT_CARRIED_OUT", "Prompts", "ServerClock"]

NOT_CARRIED_OUT: frozenset[ServerErrorKind] = frozenset(
    ("refused-password", "not-found", "conflict", "bad-request", "too-big")
)
"""A call with such an error has done nothing."""

_TRIES = 3
_REFUSED_AFTER = 2.0  # seconds; an error was told, and one about a prompt that is kept comes behind the prompt
_FORGOTTEN_AFTER = 120.0  # a cold server with 32 folders took 20 s to its first sign
_LATEST = 30.0  # seconds from a prompt's call until its message is there; 2 s were seen on a busy machine


class _Time(msgspec.Struct):
    created: float = 0.0
    completed: float | None = None


class _Info(msgspec.Struct):
    time: _Time | None = None


class _Message(msgspec.Struct):
    info: _Info | None = None


class _Event(msgspec.Struct):
    properties: _Message | None = None


_event: msgspec.json.Decoder[_Event] = msgspec.json.Decoder(_Event)
_messages: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])


@dataclass(slots=True)
class ServerClock:
    """The last moment that the server itself has told. Ids of its messages sort by its clock, and ours have to, too:
    with one from a clock that goes ahead it would take its own answer for an older one, and answer for ever."""

    at: float = 0.0
    """Unix time."""

    def hear(self, event: Envelope) -> None:
        if event.type != "message.updated":
            return
        try:
            found = _event.decode(event.payload).properties
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        self._take(found)

    def see(self, snapshot: Snapshot) -> None:
        try:
            messages = _messages.decode(snapshot.messages)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        for message in messages:
            self._take(message)

    def _take(self, message: _Message | None) -> None:
        if message is None or message.info is None or message.info.time is None:
            return
        time = message.info.time
        self.at = max(self.at, max(time.created, time.completed or 0.0) / 1000)


@dataclass(slots=True, kw_only=True)
class Prompts:
    """Where the prompts of a session stand."""

    prompting: Prompting
    salt: Callable[[int], bytes]
    """So many random bytes."""
    clock: ServerClock
    number: int = 0
    """Of those that were begun."""
    message: str = ""
    """The id of the last of these."""
    state: Literal["none", "sending", "doubtful", "accepted", "there"] = "none"
    """Of the last one: whether the server has it. It may forget what it has accepted and not shown."""
    doubted_at: float = 0.0
    accepted_at: float = 0.0
    tries: int = 0
    added: dict[CommandId, str] = field(default_factory=dict)
    """Behind those of the plan, by what brought them."""
    _sent_at: float = 0.0
    _restarted_at: float = -inf
    _missing_from: float = 0.0
    """A server that does not have it then will never have it."""

    @property
    def text(self) -> str:
        return self._all[self.number - 1]

    @property
    def left(self) -> bool:
        return self.number < len(self._all)

    @property
    def _all(self) -> tuple[str, ...]:
        return (*self.prompting.prompts, *self.added.values())

    def add(self, command: CommandId, text: str) -> list[Change]:
        """One more. It changes nothing that is to be written or told."""
        self.added[command] = text
        return []

    def number_of(self, command: CommandId) -> int:
        """Of the prompt that this command has added."""
        return len(self.prompting.prompts) + 1 + list(self.added).index(command)

    def next(self, at: float) -> None:
        """Begin with the next one."""
        self.number += 1
        self.message = make_message_id(self.clock.at + 0.001, self.number & 0xFFF, self.salt(14))
        self.state, self.tries, self._sent_at = "sending", 1, at

    def restore(self, message: str, at: float) -> None:
        """The next one was begun then under this id by an earlier callboard, that may not have come to send it."""
        self.number += 1
        self.message, self.state, self.tries, self._sent_at = message, "sending", 1, at
        self.doubt(at)

    def accept(self, at: float) -> None:
        if self.state != "there":
            self.state, self.accepted_at = "accepted", at

    def arrive(self) -> None:
        self.state = "there"

    def restart(self, at: float) -> None:
        """The server is another process: what it had accepted and not made a message of is forgotten."""
        self._restarted_at = at
        if self.state in ("accepted", "doubtful"):
            self.doubt(at)

    def doubt(self, at: float, *, never_left: bool = False) -> None:
        """``never_left``: nobody was there to take it."""
        if self.state == "there":
            return
        self.state, self.doubted_at = "doubtful", at
        nobody_has_it = never_left or self._restarted_at > self._sent_at
        self._missing_from = at if nobody_has_it else max(at, self._sent_at + _LATEST)

    def look_up(self, snapshot: Snapshot) -> bool | None:
        """Whether it is to be sent again, after all; None: it was sent often enough."""
        if self.state != "doubtful":
            return False
        if f'"{self.message}"'.encode() in snapshot.messages:
            self.arrive()
            return False
        if snapshot.at < self._missing_from:
            return False
        if self.tries >= _TRIES:
            return None
        self.state, self.tries, self._sent_at = "sending", self.tries + 1, snapshot.at
        return True

    def is_forgotten(self, snapshot: Snapshot, *, failed: bool) -> bool:
        """The server has accepted it, rests and does not have it: that is how it refuses a mode that it does not know.
        ``failed``: it told an error since then."""
        if self.state != "accepted" or snapshot.status or f'"{self.message}"'.encode() in snapshot.messages:
            return False
        return snapshot.at >= self.accepted_at + (_REFUSED_AFTER if failed else _FORGOTTEN_AFTER)

    def body(self) -> bytes:
        """Of the request. Source: opencode 1.18, ``POST /session/{id}/prompt_async``."""
        prompting = self.prompting
        provider, _, model = prompting.model.partition("/")
        body: dict[str, Any] = {
            "messageID": self.message,
            "parts": [{"type": "text", "text": self.text}],
            "agent": prompting.mode,
            "model": {"providerID": provider, "modelID": model} if model else None,
            "system": prompting.system,
            "tools": prompting.tools,
        }
        return msgspec.json.encode({name: value for name, value in body.items() if value})
