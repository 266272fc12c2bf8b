"""The method ``hello`` of a fleet's socket, and who says it: an instance, to the callboard that started it."""

import logging
from dataclasses import dataclass

import msgspec
import trio

from actors.commander import RefusedError
from actors.messages import Greeting
from actors.unix_socket import connect_unix
from protocols.control import HelloParams, HelloResult
from protocols.jsonrpc import Request, Response
from protocols.layout import FleetFolder

__all__ = ["Greeter", "greet"]

logger = logging.getLogger(__name__)

_ANSWER = 5.0
_PAUSES = (0.1, 0.5, 2.0, 10.0, 60.0)  # it may be busy, or resumed; without a greeting it reads our journal at our end
_MAX_LINE = 64 * 1024


async def greet(params: HelloParams, greetings: trio.MemorySendChannel[Greeting] | None) -> HelloResult:
    """Pass it on. Raise `RefusedError` where no instance of ours has this token."""
    send, receive = trio.open_memory_channel[str](1)
    with receive:
        try:
            if greetings is None:
                raise RefusedError("this run has no instances")
            greetings.send_nowait(Greeting(params.token, params.run, send))
            with trio.fail_after(_ANSWER):
                return HelloResult(await receive.receive())
        except trio.EndOfChannel as error:
            raise RefusedError("no instance of this run has this token") from error
        except (trio.WouldBlock, trio.TooSlowError) as error:
            raise RefusedError("there is too much to do; try again") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeter:
    """Say to the callboard that started us that we are there, once our socket is."""

    parent: FleetFolder
    params: HelloParams

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Return when it knows, or cannot be told."""
        task_status.started()
        for pause in (*_PAUSES, None):
            try:
                with trio.fail_after(_ANSWER):
                    problem = await self._say()
            except (OSError, trio.BrokenResourceError, trio.TooSlowError, msgspec.DecodeError) as error:
                problem = str(error) or "no answer"
            if not problem or pause is None:
                break
            await trio.sleep(pause)
        if problem:
            logger.warning("%s: the callboard that started us: %s", self.parent.root, problem)

    async def _say(self) -> str:
        """What is wrong; empty where it knows."""
        connection = await trio.to_thread.run_sync(connect_unix, self.parent.control_socket)
        connection.setblocking(False)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(connection)) as stream:
            params = msgspec.Raw(msgspec.json.encode(self.params))
            await stream.send_all(
                msgspec.json.encode(Request(jsonrpc="2.0", method="hello", params=params, id=1)) + b"\n"
            )
            answer = bytearray()
            async for data in stream:
                answer += data
                if b"\n" in answer or len(answer) > _MAX_LINE:
                    break
        error = msgspec.json.decode(bytes(answer), type=Response).error
        return "" if error is msgspec.UNSET else error.message
