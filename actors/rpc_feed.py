"""Records that a server tells as they come: each once, in order, over connections that break and readers that lag."""

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from actors.rpc_client import RpcClient
from protocols.errors import FleetError, InputError
from protocols.event_codec import decode_record
from protocols.events import Record, RunEnded
from protocols.ids import RunId
from protocols.port_params import ReadParams, SubscribeParams, UnsubscribeParams, Wanted
from protocols.port_results import ReadResult, Subscribed, Unsubscribed

__all__ = ["RpcFeed"]

_HELD = 64  # messages that wait for the reader; where there are more, they are asked for again


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """``events.records``, up to ``upto``; or ``events.lagged``: the records up to ``last`` are left out."""

    subscription: str
    records: tuple[msgspec.Raw, ...] = ()
    upto: int = 0
    last: int = 0


_decoder: msgspec.json.Decoder[_Told] = msgspec.json.Decoder(_Told)
_names = itertools.count(1)


@dataclass(slots=True, kw_only=True)
class RpcFeed:
    """One subscription. Its reader may make calls of the same client between two batches, and take its time."""

    rpc: RpcClient
    wanted: Wanted
    after: int | None = None
    """The number up to which the reader has all; None before `begin`: what comes from then on."""
    run: RunId | None = None
    """Whose records these are."""
    _name: str = ""
    """Of the subscription that is listened to; empty: none is, and another one has to be made."""
    _stale: str = ""
    """One on the same connection that is not listened to any more."""
    _told: deque[_Told] = field(default_factory=deque)
    _news: trio.Event = field(default_factory=trio.Event)
    _ended: bool = False
    """The run is over, and the last record told so."""

    async def begin(self) -> None:
        """Raise as `RpcClient.call` does; FleetError where the server has another run than before."""
        if stale := self._stale:
            self._stale = ""
            await self._unsubscribe(stale)
        self._name = name = f"feed-{next(_names)}"
        params = SubscribeParams(**self._fields, subscription=name, after=self.after)
        answer = await self.rpc.call("events.subscribe", params, Subscribed)
        if self.run not in {None, answer.run}:
            raise FleetError(f"run {self.run} has ended, and its supervisor runs {answer.run} now")
        self.run = answer.run
        self.after = answer.after if self.after is None else self.after
        if self._name != name:  # the connection broke meanwhile; nobody knows on which of the two it is
            self._stale = name

    def take(self, method: str, params: msgspec.Raw) -> None:
        """See `Watcher`. Raise ``msgspec.DecodeError`` for what no server of ours says."""
        if method not in {"events.records", "events.lagged"}:
            return
        told = _decoder.decode(params)
        if told.subscription != self._name:
            return
        if len(self._told) == _HELD:
            self._name, self._stale = "", self._name
        else:
            self._told.append(told)
        self._wake()

    def lose(self) -> None:
        """See `Watcher`."""
        self._name = self._stale = ""
        self._wake()

    def __aiter__(self) -> "RpcFeed":
        return self

    async def __anext__(self) -> list[Record]:
        """What is new, at least one. It ends behind the record of the end of the run. Raise as `begin`."""
        if self._ended:
            raise StopAsyncIteration
        while True:
            while self._told:
                if records := await self._records(self._told.popleft()):
                    return records
            if not self._name:
                await self.begin()
            else:
                await self._news.wait()

    async def _records(self, told: _Told) -> list[Record]:
        behind = self.after or 0
        upto, texts = told.upto, told.records
        if told.last:
            page = await self._read(behind, told.last)
            upto, texts = page.upto, page.records
            if page.more:
                self._told.appendleft(told)
        records = [record for text in texts if (record := decode_record(text)).seq > behind]
        self.after = max(behind, upto, records[-1].seq if records else 0)
        self._ended = any(isinstance(record.event, RunEnded) for record in records)
        return records

    async def _read(self, after: int, upto: int) -> ReadResult:
        """A part of what the server left out."""
        if upto <= after:
            return ReadResult(records=(), upto=after, more=False)
        params = ReadParams(**self._fields, after=after, upto=upto)
        return await self.rpc.call("events.read", params, ReadResult)

    async def _unsubscribe(self, name: str) -> None:
        """Of one that is on another connection the server knows nothing."""
        try:
            await self.rpc.call("events.unsubscribe", UnsubscribeParams(name), Unsubscribed)
        except InputError:
            return

    @property
    def _fields(self) -> dict[str, Any]:
        return {each: getattr(self.wanted, each) for each in Wanted.__struct_fields__}

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()
