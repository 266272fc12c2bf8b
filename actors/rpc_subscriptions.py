"""The subscriptions of one connection: records as they come, from the number that the client has."""

import itertools
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import trio

from actors.feed import Feed, Told
from actors.picture import Picture
from protocols.jsonrpc import INVALID_PARAMS, NOT_FOUND, CallError
from protocols.port_params import SubscribeParams, UnsubscribeParams
from protocols.port_results import Ended, Lagged, Subscribed, Unsubscribed
from protocols.port_view import run_of
from protocols.topics import Filter
from protocols.wording import quote

__all__ = ["Subscriptions"]

_MOST = 32
_FRAME = 62 * 1024  # bytes of the records of one push, about: with what is around them they go out in one piece
# While records pour, a push begins no sooner than this after the one before: a message costs as much as many records.
_COMPANY = 0.01


@dataclass(slots=True, eq=False)
class _Subscription:
    name: str
    filter: Filter
    after: int
    """The records up to this number were looked at; what is behind it goes by the filter as it is then."""
    replay: bool
    told: int
    """Up to this number the client has been sent what it wants."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: trio.Event | None = None
    """There once it has begun."""


@dataclass(slots=True, kw_only=True)
class Subscriptions:
    feed: Feed
    picture: Picture
    send: Callable[[bytes], Awaitable[None]]
    """A message to the client. Waits while that is slow."""
    _all: dict[str, _Subscription] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def subscribe(self, params: SubscribeParams) -> tuple[Subscribed, Callable[[], Awaitable[None]] | None]:
        """The answer; and what sends the records, to be run once that is sent: None where it runs already.
        Raise `CallError`."""
        name = params.subscription or f"s{next(self._numbers)}"
        known = self._all.get(name)
        if known is not None:
            if params.after is not None:
                text = f"subscription {quote(name)}: it goes on from {known.after}"
                raise CallError(INVALID_PARAMS, f"{text}; leave after out, or unsubscribe first")
            known.filter, known.replay = params.filter, params.replay
            return self._answer(known), None
        after = self.feed.last if params.after is None else params.after
        if after > self.feed.last:
            text = f"after {after}: the last record of run {self.picture.view.run} is {self.feed.last}"
            raise CallError(INVALID_PARAMS, f"{text}; is this number of another run?")
        if len(self._all) >= _MOST:
            raise CallError(INVALID_PARAMS, f"{_MOST} subscriptions of one connection are enough")
        new = self._all[name] = _Subscription(name, params.filter, after, params.replay, told=after)
        return self._answer(new), lambda: self._push(new)

    async def unsubscribe(self, params: UnsubscribeParams) -> Unsubscribed:
        """Return when nothing of it comes any more. Raise `CallError`."""
        known = self._all.pop(params.subscription, None)
        if known is None:
            raise CallError(NOT_FOUND, f"subscription {quote(params.subscription)}: there is none of this connection")
        known.scope.cancel(reason="unsubscribed")
        if known.over is not None:
            await known.over.wait()
        return Unsubscribed(subscription=known.name, upto=known.told)

    def _answer(self, one: _Subscription) -> Subscribed:
        return Subscribed(subscription=one.name, run=self.picture.view.run, after=one.after)

    async def _push(self, one: _Subscription) -> None:
        """Until it is given up, or the fleet ends."""
        one.over = trio.Event()
        try:
            with one.scope:
                await self._tell(one)
        finally:
            one.over.set()

    async def _tell(self, one: _Subscription) -> None:
        live, pushed_at = False, -math.inf
        while True:
            await trio.sleep_until(pushed_at + _COMPANY if live else -math.inf)
            if live and not one.replay and one.after + 1 < self.feed.oldest:
                await self._skip(one)
            page = await self.feed.read(one.after)
            if not page:
                break
            for frame in self._frames(one, page):
                await self.send(frame)
                one.told, pushed_at = one.after, trio.current_time()
            one.told = one.after
            live = live or one.after >= self.feed.last
        await self.send(_notification("events.ended", Ended(subscription=one.name, upto=one.after)))

    async def _skip(self, one: _Subscription) -> None:
        lagged = Lagged(subscription=one.name, first=one.after + 1, last=self.feed.last)
        one.after = lagged.last
        await self.send(_notification("events.lagged", lagged))
        one.told = one.after

    def _frames(self, one: _Subscription, page: Sequence[Told]) -> Iterator[bytes]:
        """What it wants of these records, in messages that are not too long. Each goes by the filter of its moment."""
        view, texts, size = self.picture.view, list[bytes](), 0
        wanted, wants_all = one.filter, one.filter.wants_all
        for told in page:
            if wanted is not one.filter:
                wanted, wants_all = one.filter, one.filter.wants_all
            one.after = told.seq
            if not wants_all and not wanted.wants(told.event, lambda path: run_of(view, path)):
                continue
            texts.append(told.text)
            size += len(told.text)
            if size >= _FRAME:
                yield _records(one.name, told.seq, texts)
                texts, size = [], 0
        if texts:
            yield _records(one.name, one.after, texts)


def _records(name: str, upto: int, texts: Sequence[bytes]) -> bytes:
    """``events.records``, put together from the texts that all subscribers share."""
    return b'{"jsonrpc":"2.0","method":"events.records","params":{"subscription":%b,"upto":%d,"records":[%b]}}' % (
        msgspec.json.encode(name),
        upto,
        b",".join(texts),
    )


def _notification(method: str, params: Ended | Lagged) -> bytes:
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), msgspec.json.encode(params))
