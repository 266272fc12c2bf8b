"""The connection to a keeper process: framing, descriptors, and an end that comes in any case."""

import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from actors import keeper_link
from actors.keeper_link import KeeperLink
from actors.keeper_process.procfs import read_process
from protocols.errors import KeeperError
from protocols.ids import AttemptId
from protocols.keeper import MAX_MESSAGE, Message, Reply, Resumed

_REPLY = b'{"type":"reply","re":%d,"ok":{},"fds":%d}\n'


@contextmanager
def _linked(pid: int = 1, pidfd: int = -1) -> Iterator[tuple[KeeperLink, socket.socket]]:
    """A link and the keeper's end of its socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = KeeperLink(pid, pidfd, trio.socket.from_stdlib_socket(ours))
    with theirs:
        try:
            yield link, theirs
        finally:
            link.close()


async def _receive_all(link: KeeperLink) -> list[tuple[Message, tuple[int, ...]]]:
    found = []
    while (received := await link.receive()) is not None:
        found.append(received)
    return found


async def test_messages_come_in_order_however_they_were_cut() -> None:
    said = _REPLY % (1, 0) + b'{"type":"resumed","attempt":"a","stream":"stdout"}\n' + _REPLY % (2, 0)
    with _linked() as (link, keeper):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_in_pieces, keeper, said)
            messages = [message for message, _ in await _receive_all(link)]

    assert [message.re for message in messages if isinstance(message, Reply)] == [1, 2]
    assert messages[1] == Resumed(attempt=AttemptId("a"), stream="stdout")


async def _in_pieces(keeper: socket.socket, data: bytes) -> None:
    for at in range(0, len(data), 3):
        keeper.sendall(data[at : at + 3])
        await trio.lowlevel.checkpoint()
    keeper.shutdown(socket.SHUT_WR)


async def test_descriptors_come_with_the_message_that_names_them() -> None:
    pipes = [os.pipe() for _ in range(4)]
    inodes = [os.fstat(read).st_ino for read, _ in pipes]
    with _linked() as (link, keeper):
        for number in range(2):
            reads = [read for read, _ in pipes[2 * number : 2 * number + 2]]
            socket.send_fds(keeper, [_REPLY % (number, 2)], reads)
        keeper.shutdown(socket.SHUT_WR)
        received = [fds for _, fds in await _receive_all(link)]

    assert [os.fstat(fd).st_ino for fds in received for fd in fds] == inodes
    for fd in [fd for group in (*received, *pipes) for fd in group]:
        os.close(fd)


async def test_descriptors_for_which_there_is_no_room_are_an_error_and_never_mixed_up() -> None:
    reads = os.pipe()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with _linked() as (link, keeper):
        socket.send_fds(keeper, [_REPLY % (1, 2)], reads)
        next_free = os.dup(0)
        os.close(next_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_free + 1, limit[1]))
        try:
            with pytest.raises(KeeperError, match="ulimit -n"):
                await link.receive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    for fd in reads:
        os.close(fd)


async def test_a_line_without_end_is_an_error() -> None:
    with _linked() as (link, keeper):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pour, keeper)
            with pytest.raises(KeeperError, match="more than"):
                await link.receive()


async def _pour(keeper: socket.socket) -> None:
    await trio.to_thread.run_sync(keeper.sendall, b"x" * (MAX_MESSAGE + 1))


@pytest.fixture
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that ends for SIGKILL only, and its pidfd."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        pidfd = os.pidfd_open(process.pid)
        yield process, pidfd
        process.kill()
        os.close(pidfd)


async def test_a_keeper_that_does_not_go_is_killed_and_reaped(
    sleeper: tuple[subprocess.Popen[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pidfd = sleeper
    monkeypatch.setattr(keeper_link, "_EXIT_DEADLINE", 0.01)
    with _linked(process.pid, pidfd) as (link, _):
        await link.finish()

    assert read_process(process.pid) is None


async def test_a_keeper_that_does_not_even_die_is_not_waited_for_for_ever(
    sleeper: tuple[subprocess.Popen[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing dies in the middle of a write to a disk that hangs."""
    process, pidfd = sleeper
    monkeypatch.setattr(keeper_link, "_EXIT_DEADLINE", 0.01)
    monkeypatch.setattr(keeper_link, "_DEATH_DEADLINE", 0.01)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)

    with _linked(process.pid, pidfd) as (link, _):
        with pytest.raises(KeeperError, match="does not die"):
            await link.kill()
        with pytest.raises(KeeperError, match="does not die"):
            await link.finish()
