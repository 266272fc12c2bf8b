"""Which session gets what: the state of a router. Nothing in here waits, but for what somebody wants to know."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import trio

from actors.server_log import ServerLog
from actors.session_mailbox import Mailbox
from actors.session_messages import Arrived, Connected, Disconnected, Look, Register
from protocols.early_events import EarlyEvents
from protocols.opencode import Envelope, Snapshot
from protocols.opencode_envelope import KNOWN_TYPES
from protocols.recent import RecentIds

__all__ = ["RouterCounts", "Routes"]

_MOST_TYPES = 256
_DISPOSED = "server.instance.disposed"
_CLOCK_STEP = 60.0  # no answer takes so long: what is older was asked for before the clock was set back


class _Child(msgspec.Struct):
    id: str


_children: msgspec.json.Decoder[list[_Child]] = msgspec.json.Decoder(list[_Child])


@dataclass(slots=True)
class RouterCounts:
    """What became of the events, since the router began."""

    routed: int = 0
    duplicates: int = 0
    dropped: int = 0
    """Because a session did not take its events in time; it was told `Missing`."""
    nobody: int = 0
    """They were about no session of ours."""
    unlogged: int = 0
    """Of those: not in ``server-events.jsonl`` either, which is full, or on a slow disk."""
    broken: int = 0
    others: Counter[str] = field(default_factory=Counter)
    """Of types that we do not know; they are passed on. Types beyond the 256th count as the empty one."""


@dataclass(slots=True, kw_only=True)
class Routes:
    log: ServerLog
    counts: RouterCounts
    nursery: trio.Nursery
    now: Callable[[], float]
    _sessions: dict[str, Mailbox] = field(default_factory=dict, init=False)
    """Those that are registered."""
    _routes: dict[str, Mailbox] = field(default_factory=dict, init=False)
    """The same, and their children."""
    _early: EarlyEvents = field(default_factory=EarlyEvents, init=False)
    _seen: RecentIds = field(default_factory=RecentIds, init=False)
    _past: RecentIds = field(default_factory=RecentIds, init=False)
    """Sessions that were unregistered, and their children."""
    _streams: dict[str, tuple[Connected, float]] = field(default_factory=dict, init=False)
    """By directory: what is there, and since when."""
    _gone: dict[str, Disconnected] = field(default_factory=dict, init=False)
    """By directory: why there is no stream."""
    _wanted: dict[str, dict[str, bool]] = field(default_factory=dict, init=False)
    """By directory: the sessions that are to be looked at, and how thoroughly."""
    _announced: set[str] = field(default_factory=set, init=False)
    _wishes: trio.Event = field(default_factory=trio.Event, init=False)
    _unannounced: list[str] = field(default_factory=list, init=False)
    _news: trio.Event = field(default_factory=trio.Event, init=False)

    def arrived(self, arrived: Arrived) -> None:
        counts, seen, routes = self.counts, self._seen, self._routes
        counts.broken += arrived.broken
        for event in arrived.events:
            if event.id and not seen.add(event.id):
                counts.duplicates += 1
                continue
            if event.type not in KNOWN_TYPES:
                self._count_other(event.type)
            mailbox = routes.get(event.session)
            if mailbox is None:
                self._unrouted(event)
            else:
                counts.routed += 1
                mailbox.put(event)

    def register(self, asked: Register) -> None:
        """A session that registers again gets its events, and its children's, in its new inbox."""
        session = asked.session
        family = {session} | self._family(session)
        self.unregister(session)
        mailbox = Mailbox(
            session=session, directory=asked.directory, inbox=asked.inbox, missed=lambda: self.reconcile(session)
        )
        self.nursery.start_soon(mailbox.run)
        self._sessions[session] = mailbox
        self._announce(asked.directory)
        stream = self._stream(asked.directory)
        if stream is not None:
            mailbox.put(stream[0])
        elif (gone := self._gone.get("") or self._gone.get(asked.directory)) is not None:
            mailbox.put(gone)
        self._adopt(mailbox, family)
        self.reconcile(session)

    def unregister(self, session: str) -> None:
        mailbox = self._sessions.get(session)
        if mailbox is None:
            return
        self.counts.dropped += mailbox.dropped
        mailbox.close()
        for each in self._family(session):
            del self._routes[each]
            self._past.add(each)
        del self._sessions[session]
        for wanted in self._wanted.values():
            wanted.pop(session, None)

    def connected(self, message: Connected) -> None:
        self._streams[message.directory] = (message, self.now())
        self._gone.pop(message.directory, None)
        for mailbox in self._of(message.directory):
            mailbox.put(message)
            self.reconcile(mailbox.session)

    def disconnected(self, message: Disconnected) -> None:
        self._streams.pop(message.directory, None)
        self._gone[message.directory] = message
        for mailbox in self._of(message.directory):
            if self._stream(mailbox.directory) is None:
                mailbox.put(message)

    def snapshot(self, snapshot: Snapshot) -> None:
        """One that was asked for before something that we know is not passed on: another one is on its way."""
        mailbox = self._routes.get(snapshot.session)
        if mailbox is None or _older(snapshot.at, mailbox.newest.get(snapshot.session, 0.0)):
            return
        stream = self._stream(mailbox.directory)
        if stream is not None and _older(snapshot.at, stream[1]):
            return
        mailbox.newest[snapshot.session] = snapshot.at
        mailbox.put(snapshot)
        self._adopt(mailbox, {child.id for child in _decoded(snapshot.children)} - self._routes.keys())

    def reconcile(self, session: str) -> None:
        self._want(session, thorough=True)

    def doubt(self) -> None:
        """Time has passed: look at all sessions, and keep no event for ever that nobody wants."""
        for session, mailbox in list(self._sessions.items()):
            if mailbox.gone:
                self.unregister(session)
            self._want(session, thorough=False)
        for event in self._early.expire(self.now()):
            self._nobody(event)

    async def next_look(self) -> Look:
        while not any(self._wanted.values()):
            await self._wishes.wait()
        directory = next(directory for directory, wanted in self._wanted.items() if wanted)
        wanted = self._wanted.pop(directory)
        return Look(directory, tuple(wanted), thorough=any(wanted.values()))

    async def next_directory(self) -> str:
        """Each, once."""
        while not self._unannounced:
            await self._news.wait()
        return self._unannounced.pop(0)

    def close(self) -> None:
        for session in list(self._sessions):
            self.unregister(session)

    def _unrouted(self, event: Envelope) -> None:
        parent = self._routes.get(event.parent) if event.parent else None
        if parent is not None:
            self._adopt(parent, {event.session})
            self.counts.routed += 1
            parent.put(event)
        elif not event.session:
            self._about_directory(event)
        elif event.session in self._past:
            self._nobody(event)
        else:
            for expired in self._early.add(event):
                self._nobody(expired)

    def _about_directory(self, event: Envelope) -> None:
        if event.type != _DISPOSED:
            self._nobody(event)
            return
        for mailbox in self._of(event.directory):
            self.counts.routed += 1
            mailbox.put(event)
            self.reconcile(mailbox.session)

    def _adopt(self, mailbox: Mailbox, sessions: set[str]) -> None:
        """They, and what is known to be below them, belong to this mailbox; it gets what came for them already."""
        if not sessions:
            return
        family = set(sessions)
        for session in sessions:
            family |= self._early.descendants(session)
        for session in family:
            self._routes[session] = mailbox
            self._past.discard(session)
        for event in self._early.take(family):
            self.counts.routed += 1
            mailbox.put(event)

    def _nobody(self, event: Envelope) -> None:
        self.counts.nobody += 1
        self.counts.unlogged += not self.log.put(event)

    def _count_other(self, kind: str) -> None:
        others = self.counts.others
        others[kind if kind in others or len(others) < _MOST_TYPES else ""] += 1

    def _family(self, session: str) -> set[str]:
        """A session that is registered, and those below it."""
        mailbox = self._sessions.get(session)
        return {name for name, owner in self._routes.items() if owner is mailbox}

    def _of(self, directory: str) -> list[Mailbox]:
        """Those of a directory; of the empty one: all."""
        return [each for each in self._sessions.values() if directory in {"", each.directory}]

    def _stream(self, directory: str) -> tuple[Connected, float] | None:
        return self._streams.get("") or self._streams.get(directory)

    def _announce(self, directory: str) -> None:
        if directory not in self._announced:
            self._announced.add(directory)
            self._unannounced.append(directory)
            self._news.set()
            self._news = trio.Event()

    def _want(self, session: str, *, thorough: bool) -> None:
        mailbox = self._routes.get(session)
        if mailbox is None:
            return
        wanted = self._wanted.setdefault(mailbox.directory, {})
        wanted[mailbox.session] = thorough or wanted.get(mailbox.session, False)
        self._wishes.set()
        self._wishes = trio.Event()


def _older(at: float, other: float) -> bool:
    return 0 < other - at < _CLOCK_STEP


def _decoded(children: bytes) -> list[_Child]:
    try:
        return _children.decode(children) if children else []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
