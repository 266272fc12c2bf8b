"""Clients of a tmux server: one that stays, in control mode, and one for a single command."""

import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import trio

from actors.tmux_process import Server, end_process, start_process, take_turn
from protocols.errors import TmuxError
from protocols.tmux import ControlParser, Message, Notice, Output, Reply, quote
from protocols.tmux_panes import kind_of

__all__ = ["ControlClient", "open_client", "run_tmux"]

_RECEIVE = 64 * 1024
_DEADLINE = 5.0  # for an answer; usually 0.1 ms
_GONE = "the control client is gone"
_MOST = 4 * 1024 * 1024  # bytes of what one command prints


@dataclass(slots=True)
class ControlClient:
    """A client in control mode. Its replies come in the order of the commands."""

    server: Server
    pid: int
    _pidfd: int
    _stdin: trio.lowlevel.FdStream
    _stdout: trio.lowlevel.FdStream
    gone: trio.Event = field(default_factory=trio.Event)
    """It answers nothing any more."""
    reason: str = ""
    """Why, as far as it said."""
    _sending: trio.Lock = field(default_factory=trio.Lock)
    _waiting: deque[trio.MemorySendChannel[Reply]] = field(default_factory=deque)
    _parser: ControlParser = field(default_factory=ControlParser)
    _early: list[Message] = field(default_factory=list)
    """What came together with the first reply."""

    async def command(self, *arguments: str, deadline: float = _DEADLINE) -> list[str]:
        """The lines that a command gives. Raise `TmuxError` where it is refused, or not answered in time."""
        line = b" ".join(map(quote, arguments)) + b"\n"
        if self.gone.is_set():
            raise self._gone()
        send, receive = trio.open_memory_channel[Reply](1)
        try:
            with trio.fail_after(deadline):
                await self._send(line, send, deadline)
                return _lines(self.server, await receive.receive())
        except trio.TooSlowError as exc:
            raise TmuxError(f"{self.server}: no answer to {arguments[0]} within {deadline:g} s", "late") from exc
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel) as exc:
            raise self._gone() from exc

    async def start(self, deadline: float = _DEADLINE) -> list[str]:
        """The lines that its first command, that with which it was started, gives. `open_client` calls it.

        Raise `TmuxError`. What a pane printed until then is for `run`.
        """
        try:
            with trio.fail_after(deadline):
                while True:
                    self._early = await self._read()
                    while self._early:
                        message = self._early.pop(0)
                        if isinstance(message, Reply):
                            return _lines(self.server, message)
        except trio.TooSlowError as exc:
            raise TmuxError(f"{self.server}: no answer within {deadline:g} s", "late") from exc

    async def run(self, pane: str, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Pass on what the program in a pane prints until the client is gone, at the speed of ``take``."""
        wanted = pane.encode()
        try:
            while not self.gone.is_set():
                printed = bytearray()
                for message in await self._read():
                    match message:
                        case Output(where, data) if where == wanted:
                            printed += data
                        case Reply(ours=True) if self._waiting:
                            await take(bytes(printed))  # who hears the reply knows that this is done
                            printed.clear()
                            self._answer(message)
                        case _:
                            pass
                await take(bytes(printed))
        except TmuxError:
            self.reason = self.reason or _GONE
        finally:
            self._lose()

    async def _send(self, line: bytes, reply: trio.MemorySendChannel[Reply], deadline: float) -> None:
        """Nothing of it, or all: else the replies would not belong to their commands any more."""
        async with self._sending:
            self._waiting.append(reply)
            with trio.move_on_after(deadline, shield=True) as scope:
                await self._stdin.send_all(line)
        if scope.cancelled_caught:
            await trio.aclose_forcefully(self._stdin)
            raise trio.TooSlowError

    async def _read(self) -> list[Message]:
        """Raise `TmuxError` at its end."""
        if self._early:
            messages, self._early = self._early, []
            return messages
        data = await self._receive()
        if not data:
            raise self._gone()
        messages = self._parser.feed(data)
        for message in messages:
            if isinstance(message, Notice) and message.name == b"exit":
                self.reason = self.reason or message.rest.decode(errors="replace") or "its session was closed"
            elif isinstance(message, Notice) and not message.name:
                self.reason = self.reason or message.rest.decode(errors="replace")
        return messages

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stdout.receive_some(_RECEIVE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    def _gone(self) -> TmuxError:
        kind = kind_of(self.reason)
        return TmuxError(f"{self.server}: {self.reason or _GONE}", "client" if kind == "refused" else kind)

    def _answer(self, reply: Reply) -> None:
        waiting = self._waiting.popleft()
        with waiting:
            try:
                waiting.send_nowait(reply)
            except trio.BrokenResourceError:
                return  # who asked has given up

    def _lose(self) -> None:
        self.gone.set()
        while self._waiting:
            self._waiting.popleft().close()


@asynccontextmanager
async def open_client(server: Server, *arguments: str) -> AsyncIterator[tuple[ControlClient, list[str]]]:
    """A control client, and the lines that its first command gave. Raise `TmuxError`.

    It is gone at the end, at which its session is not touched.
    """
    async with AsyncExitStack() as stack:
        async with server.turn:
            client = await stack.enter_async_context(_spawned(server, arguments))
            lines = await client.start()
        yield client, lines


@asynccontextmanager
async def _spawned(server: Server, arguments: Sequence[str]) -> AsyncIterator[ControlClient]:
    theirs_in, ours_in = os.pipe2(os.O_CLOEXEC)
    ours_out, theirs_out = os.pipe2(os.O_CLOEXEC)
    try:
        pid = start_process(server, ("-u", "-C", *arguments), (theirs_in, theirs_out), stays=True)
        pidfd = os.pidfd_open(pid)
    except OSError:
        os.close(ours_in)
        os.close(ours_out)
        raise
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    stdin, stdout = trio.lowlevel.FdStream(ours_in), trio.lowlevel.FdStream(ours_out)
    client = ControlClient(server, pid, pidfd, stdin, stdout)
    try:
        yield client
    finally:
        with trio.CancelScope(shield=True):
            async with take_turn(server):
                await trio.aclose_forcefully(stdin)
                await end_process(pidfd)
            await trio.aclose_forcefully(stdout)
            os.close(pidfd)


async def run_tmux(server: Server, *arguments: str, deadline: float = _DEADLINE) -> list[str]:
    """The lines that one command prints, through a client of its own. Starts no server. Raise `TmuxError`."""
    async with take_turn(server):
        return await _run(server, arguments, deadline)


async def _run(server: Server, arguments: Sequence[str], deadline: float) -> list[str]:
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    stream = trio.lowlevel.FdStream(ours)
    async with stream:
        try:
            pidfd = os.pidfd_open(start_process(server, ("-u", *arguments), (None, theirs), stays=False))
        finally:
            os.close(theirs)
        try:
            with trio.fail_after(deadline):
                printed = bytearray()
                while (data := await stream.receive_some(_RECEIVE)) and len(printed) < _MOST:
                    printed += data
                await trio.lowlevel.wait_readable(pidfd)
        except trio.TooSlowError as exc:
            raise TmuxError(f"{server}: no answer to {arguments[0]} within {deadline:g} s", "late") from exc
        finally:
            failed = await end_process(pidfd)
            os.close(pidfd)
    lines = printed.decode(errors="replace").removesuffix("\n").split("\n")
    if failed:
        raise _refused(server, " ".join(lines) or f"{arguments[0]} failed")
    return lines if printed else []


def _lines(server: Server, reply: Reply) -> list[str]:
    lines = [line.decode(errors="replace") for line in reply.lines]
    if not reply.ok:
        raise _refused(server, " ".join(lines))
    return lines


def _refused(server: Server, text: str) -> TmuxError:
    return TmuxError(f"{server}: {text}", kind_of(text))
