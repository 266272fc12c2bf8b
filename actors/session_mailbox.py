"""What is on its way to one session. Whoever puts something in never waits, however slow the session is."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from actors.session_messages import Connected, Disconnected, Missing, SessionInput
from protocols.opencode import Envelope, Snapshot

__all__ = ["Mailbox"]

_MOST = 4096
_MOST_BYTES = 32 * 1024 * 1024
_DELTA = "message.part.delta"


@dataclass(slots=True, kw_only=True)
class Mailbox:
    """When more waits than ``most``, pieces of streaming text go first, then all events. `Missing` stands where they
    were, and ``missed`` is called when that was delivered."""

    session: str
    directory: str
    inbox: trio.MemorySendChannel[SessionInput]
    missed: Callable[[], None]
    most: int = _MOST
    most_bytes: int = _MOST_BYTES
    newest: dict[str, float] = field(default_factory=dict)
    """When the last `Snapshot` of it, and of each child, was asked for."""
    dropped: int = field(default=0, init=False)
    gone: bool = field(default=False, init=False)
    """Nobody reads the inbox any more."""
    _behind: bool = field(default=False, init=False)
    _waiting: deque[SessionInput] = field(default_factory=deque, init=False)
    _bytes: int = field(default=0, init=False)
    _more: trio.Event = field(default_factory=trio.Event, init=False)
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope, init=False)

    def put(self, item: SessionInput) -> None:
        """It comes after everything that was put in before."""
        if not self._behind:
            try:
                self.inbox.send_nowait(item)
            except trio.WouldBlock:
                self._behind = True
                self._more.set()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.gone = True
                return
            else:
                return
        if self.gone:
            return
        self._waiting.append(item)
        self._bytes += _size(item)
        if len(self._waiting) > self.most or self._bytes > self.most_bytes:
            self._shrink()

    async def run(self) -> None:
        """Deliver what waits, until the inbox is gone."""
        with self._scope:
            while not self.gone:
                await self._more.wait()
                try:
                    await self._deliver()
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self.gone = True

    async def _deliver(self) -> None:
        while self._waiting:
            item = self._waiting.popleft()
            self._bytes -= _size(item)
            await self.inbox.send(item)
            if isinstance(item, Missing):
                self.missed()
        self._behind, self._more = False, trio.Event()

    def close(self) -> None:
        """Nothing comes any more, and `run` returns."""
        self.gone = True
        self._scope.cancel(reason="nobody is interested in this session any more")
        self.inbox.close()

    def _shrink(self) -> None:
        """To a half: so that it is not done again for each event."""
        self._keep(_without_pieces(self._waiting))
        if len(self._waiting) > self.most / 2 or self._bytes > self.most_bytes / 2:
            self._keep(_last_said(self._waiting))

    def _keep(self, kept: list[SessionInput]) -> None:
        before = sum(item.count for item in self._waiting if isinstance(item, Missing))
        events = _count(self._waiting, Envelope) - _count(kept, Envelope)
        unknown = (
            events or _count(self._waiting, Missing) or (_count(self._waiting, Snapshot) and not _count(kept, Snapshot))
        )
        self.dropped += events
        self._waiting = deque(item for item in kept if not isinstance(item, Missing))
        if unknown:
            self._waiting.appendleft(Missing(before + events))
        self._bytes = sum(map(_size, self._waiting))


def _without_pieces(items: Iterable[SessionInput]) -> list[SessionInput]:
    """Without pieces of text, and with the last snapshot of each session alone."""
    kept: list[SessionInput] = []
    known: set[str] = set()
    for item in reversed(list(items)):
        if isinstance(item, Snapshot):
            if item.session in known:
                continue
            known.add(item.session)
        if not (isinstance(item, Envelope) and item.type == _DELTA):
            kept.append(item)
    return kept[::-1]


def _last_said(items: Iterable[SessionInput]) -> list[SessionInput]:
    """Whether the stream is there. Events are gone, and snapshots come again."""
    said: list[SessionInput] = [item for item in items if isinstance(item, Connected | Disconnected)]
    return said[-1:]


def _count(items: Iterable[SessionInput], kind: type[object]) -> int:
    return sum(isinstance(item, kind) for item in items)


def _size(item: SessionInput) -> int:
    match item:
        case Envelope():
            return len(item.payload)
        case Snapshot():
            return sum(len(each) for each in item if isinstance(each, bytes))
        case _:
            return 0
