"""What somebody calls at a port of the fleet, answered: read from the fleet, or carried out by who does that."""

from dataclasses import dataclass
from typing import Any

import msgspec

from actors.command_desk import CommandDesk
from actors.fleet_reader import FleetReader
from protocols.commands import Done
from protocols.jsonrpc import FORBIDDEN, INVALID_PARAMS, METHOD_NOT_FOUND, NOT_FOUND, CallError
from protocols.peer import Peer
from protocols.port_methods import METHODS, Method
from protocols.port_view import UnknownNameError, find_run
from protocols.wording import did_you_mean, quote

__all__ = ["Dispatcher", "decode_params", "find_method"]


def find_method(name: str) -> Method:
    """Raise `CallError`."""
    if (method := METHODS.get(name)) is None:
        guess = did_you_mean(name, METHODS) or "; rpc.discover tells all"
        raise CallError(METHOD_NOT_FOUND, f"no method {quote(name)}{guess}")
    return method


def decode_params(method: Method, params: bytes | msgspec.Raw) -> msgspec.Struct:
    """Of the type ``method.params``. Raise `CallError`."""
    try:
        return msgspec.json.decode(params, type=method.params)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallError(INVALID_PARAMS, f"{method.name}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Answers every method but those that belong to a connection."""

    reader: FleetReader
    desk: CommandDesk

    async def call(self, method: Method, params: Any, peer: Peer) -> Any:
        """The result of ``method``, of its type ``result``; ``params`` is of its type ``params``. Raise `CallError`.

        One that acts returns when its effect is in the journal, and in what is read here from then on. It goes on
        where this is cancelled: who asks again with the same key gets the same answer."""
        try:
            if method.acts:
                return await self._act(method, params, peer)
            if peer.may(method.need):
                return await self.reader.read(method.name, params, peer)
        except UnknownNameError as error:
            raise CallError(NOT_FOUND, str(error)) from error
        raise CallError(FORBIDDEN, f"{method.name}: it takes the scope {method.need}; this is {peer.scope}")

    async def _act(self, method: Method, params: Any, peer: Peer) -> Done:
        if method.names != "task":  # the id of a run may stand there
            task = find_run(self.reader.view, getattr(params, method.names))
            params = msgspec.structs.replace(params, **{method.names: task})
        done = await self.desk.act(method, params, peer)
        await self.reader.picture.wait_for(done.seq)
        return done
