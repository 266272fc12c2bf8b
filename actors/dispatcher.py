"""What somebody calls at a port of the fleet, answered: read from the fleet, or carried out by who does that."""

from dataclasses import dataclass
from typing import Any

import msgspec

from actors.commander import Commander, RefusedError
from actors.fleet_reader import FleetReader
from protocols.commands import Command, Done
from protocols.jsonrpc import FORBIDDEN, INVALID_PARAMS, METHOD_NOT_FOUND, NOT_FOUND, REFUSED
from protocols.peer import Peer
from protocols.port_methods import METHODS, Method
from protocols.port_view import ROOT, UnknownNameError, find_run
from protocols.wording import did_you_mean, quote

__all__ = ["CallError", "Dispatcher", "decode_params", "find_method"]


class CallError(Exception):
    """A call that is answered with an error; ``code`` as JSON-RPC has it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


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
    commander: Commander

    async def call(self, method: Method, params: Any, peer: Peer) -> Any:
        """The result of ``method``, of its type ``result``; ``params`` is of its type ``params``. Raise `CallError`.

        One that acts returns when its effect is in the journal, and in what is read here from then on."""
        if not peer.may(method.need):
            raise CallError(FORBIDDEN, f"{method.name}: it takes the scope {method.need}; this is {peer.scope}")
        try:
            if method.command is None:
                return await self.reader.read(method.name, params, peer)
            command = method.command(params if method.names == "task" else self._named(method, params))
            return await self._act(command, peer)
        except UnknownNameError as error:
            raise CallError(NOT_FOUND, str(error)) from error
        except RefusedError as error:
            raise CallError(REFUSED, str(error)) from error

    async def _act(self, command: Command, peer: Peer) -> Done:
        done = await self.commander.carry_out(command, pid=peer.pid)
        await self.reader.picture.wait_for(done.seq)
        return done

    def _named(self, method: Method, params: Any) -> Any:
        """The parameters with the name of a task where the id of a run may stand."""
        task = find_run(self.reader.view, getattr(params, method.names))
        if task == ROOT:
            raise RefusedError(f"{method.name}: that is the fleet itself; system.shutdown ends it")
        return msgspec.structs.replace(params, **{method.names: task})
