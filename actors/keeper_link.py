"""One keeper process and the connection to it."""

import ctypes
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from actors.limits import users_open_files
from actors.unix_socket import bind_unix, connect_unix
from protocols.errors import KeeperError
from protocols.ids import FleetId
from protocols.keeper import MAX_MESSAGE, OLDEST, VERSION, Hello, Message, Reply, Welcome
from protocols.keeper_codec import decode_message, encode_request
from protocols.layout import FleetFolder

__all__ = ["KeeperLink", "become_subreaper", "open_keeper"]

_PACKAGES = str(Path(__file__).resolve().parent.parent)
_BOOT = f"import sys; sys.path.append({_PACKAGES!r}); from actors.keeper_process.main import main; main()"
_PR_SET_CHILD_SUBREAPER = 36
_RECEIVE = 256 * 1024
_ANCILLARY = socket.CMSG_SPACE(16 * 4)
_START_DEADLINE = 10.0  # an interpreter on a busy machine; usually 50 ms
_EXIT_DEADLINE = 5.0
_DEATH_DEADLINE = 5.0  # what SIGKILL does not end by then waits for a disk that hangs


@dataclass(slots=True)
class KeeperLink:
    """A running keeper. Messages in the order in which it sent them, each with its descriptors."""

    pid: int
    pidfd: int
    socket: trio.socket.SocketType
    ours: bool = True
    """It is a child of this process. One that was found is not."""
    stays: bool = False
    """Its workers go on without us, so it is left to itself at the end."""
    welcome: Welcome = field(init=False)
    _sending: trio.Lock = field(default_factory=trio.Lock)
    _buffer: bytearray = field(default_factory=bytearray)
    _messages: deque[Message] = field(default_factory=deque)
    _fds: deque[int] = field(default_factory=deque)

    async def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Raise OSError when the keeper is gone. A cancelled send leaves half a message: close then."""
        async with self._sending:
            if fds:
                rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
                sent = await self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                data = data[sent:]
            while data:
                data = data[await self.socket.send(data) :]

    async def receive(self) -> tuple[Message, tuple[int, ...]] | None:
        """The next message, None when the keeper closed. The caller owns the descriptors."""
        while not self._messages:
            if not await self._read():
                return None
        message = self._messages.popleft()
        count = message.fds if isinstance(message, Reply) else 0
        return message, tuple(self._fds.popleft() for _ in range(count))

    async def finish(self) -> None:
        """Return when the process is gone; end it by force when it does not go by itself. Raise KeeperError."""
        self.close()
        if not await self._ends_within(_EXIT_DEADLINE):
            await self.kill()
        if self.ours:
            _reap(self.pid)

    async def kill(self) -> None:
        """SIGKILL, and wait until its children have another parent. Raise KeeperError when it does not die."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        if not await self._ends_within(_DEATH_DEADLINE):
            raise KeeperError(
                f"keeper (pid {self.pid}): SIGKILL was sent but it does not die, nor do its workers; "
                "see to the disk of the state folder"
            )

    def close(self) -> None:
        """Let the keeper know that nobody commands it any more."""
        self.socket.close()
        while self._fds:
            os.close(self._fds.popleft())

    async def _ends_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds, shield=True):
            await trio.lowlevel.wait_readable(self.pidfd)
            return True
        return False

    async def _read(self) -> bool:
        try:
            data, ancillary, flags, _ = await self.socket.recvmsg(_RECEIVE, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        for _, _, raw in ancillary:
            self._fds.extend(int.from_bytes(raw[i : i + 4], sys.byteorder) for i in range(0, len(raw), 4))
        if flags & socket.MSG_CTRUNC:
            raise KeeperError(f"keeper (pid {self.pid}): too many open files; raise 'ulimit -n' or lower concurrency")
        self._buffer += data
        if b"\n" in data:
            *lines, rest = self._buffer.split(b"\n")
            self._messages.extend(decode_message(bytes(line)) for line in lines)
            self._buffer = rest
        elif len(self._buffer) > MAX_MESSAGE:
            raise KeeperError(f"keeper (pid {self.pid}): a message of more than {MAX_MESSAGE} bytes")
        return bool(data)


def _reap(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WEXITED)


def become_subreaper() -> None:
    """Processes whose parents end below us become our children: those of a keeper that was killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@asynccontextmanager
async def open_keeper(
    folder: FleetFolder, fleet: FleetId, generation: int, *, find: bool = False
) -> AsyncIterator[KeeperLink]:
    """Start a keeper for this fleet and greet it. At the end it is gone, and reaped, unless it ``stays``.

    ``find``: where one is at work already, greet that one instead. Raise KeeperError when it does not come up or does
    not answer; ``keeper.log`` then tells why.
    """
    link = await _find_keeper(folder, fleet, generation) if find else None
    if link is None:
        link = await _start_keeper(folder, fleet, generation)
    try:
        yield link
    finally:
        try:
            if link.stays:
                link.close()
            else:
                await link.finish()
        finally:
            os.close(link.pidfd)


async def _find_keeper(folder: FleetFolder, fleet: FleetId, generation: int) -> KeeperLink | None:
    """None: there is none, or it is just leaving because it has nothing left to keep."""
    try:
        connection = connect_unix(folder.keeper_socket)
    except OSError:
        return None
    connection.setblocking(False)
    link = KeeperLink(0, -1, trio.socket.from_stdlib_socket(connection), ours=False)
    welcome = None
    try:
        welcome = await _greet(link, fleet, generation, f"keeper of {folder.root}")
        if welcome is not None:
            link.welcome, link.pid, link.pidfd = welcome, welcome.pid, os.pidfd_open(welcome.pid)
    finally:
        if link.pidfd < 0:
            link.close()
    return link if welcome is not None else None


async def _start_keeper(folder: FleetFolder, fleet: FleetId, generation: int) -> KeeperLink:
    with bind_unix(folder.keeper_socket) as listener:
        pid = _spawn(listener, folder, fleet)
        pidfd = os.pidfd_open(pid)
        connection = connect_unix(folder.keeper_socket)
    connection.setblocking(False)
    link = KeeperLink(pid, pidfd, trio.socket.from_stdlib_socket(connection))
    what, welcome = f"keeper (pid {pid}) of {folder.root}", None
    try:
        welcome = await _greet(link, fleet, generation, what)
        if welcome is None:
            raise KeeperError(f"{what}: it ended at its start; see {folder.keeper_log}")
        link.welcome = welcome
    finally:
        if welcome is None:
            try:
                await link.finish()
            finally:
                os.close(pidfd)
    return link


def _spawn(listener: socket.socket, folder: FleetFolder, fleet: FleetId) -> int:
    log = os.open(folder.keeper_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        with users_open_files(listener.fileno(), log) as (socket_fd, log_fd):
            return os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-c", _BOOT, str(folder.root), fleet],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, socket_fd, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log_fd, 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
    finally:
        os.close(log)


async def _greet(link: KeeperLink, fleet: FleetId, generation: int, what: str) -> Welcome | None:
    """None: it has gone. Raise KeeperError when it refuses us or does not answer."""
    hello = Hello(id=1, versions=tuple(range(OLDEST, VERSION + 1)), fleet=fleet, generation=generation)
    received = None
    with trio.move_on_after(_START_DEADLINE) as scope:
        try:
            await link.send(encode_request(hello))
            received = await link.receive()
        except OSError:
            return None
    if scope.cancelled_caught:
        raise KeeperError(
            f"{what}: no answer within {_START_DEADLINE:g} s; if it is stopped, continue it with kill -CONT; "
            "see keeper.log there"
        )
    match received:
        case (Reply(error=refusal), _) if refusal is not None:
            raise KeeperError(f"{what}: {refusal.message}")
        case (Reply(re=1, ok=raw), _):
            return msgspec.json.decode(raw, type=Welcome)
        case _:
            return None
