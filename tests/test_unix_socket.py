"""Unix sockets at paths of any length, and callers that never wait."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from actors.unix_socket import bind_unix, connect_unix, is_listening, peer_process, peer_user


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many are open at the end of the test as at its begin."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not read
    yield
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_bytes_go_both_ways_however_long_the_path(tmp_path: Path, descriptors: None) -> None:
    folder = tmp_path.joinpath(*["n" * 100] * 10)
    folder.mkdir(parents=True)

    with bind_unix(folder / "s.sock") as listener, connect_unix(folder / "s.sock") as client:
        server, _ = listener.accept()
        with server:
            client.send(b"ping")
            server.send(server.recv(10)[::-1])
            assert client.recv(10) == b"gnip"


def test_the_socket_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with bind_unix(tmp_path / "s.sock"):
            assert stat.S_IMODE((tmp_path / "s.sock").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_what_an_earlier_process_left_is_replaced(tmp_path: Path) -> None:
    bind_unix(tmp_path / "s.sock").close()

    with bind_unix(tmp_path / "s.sock"):
        assert is_listening(tmp_path / "s.sock")


def test_nobody_listens_where_there_is_no_socket_or_a_dead_one(tmp_path: Path, descriptors: None) -> None:
    assert not is_listening(tmp_path / "s.sock")
    assert not is_listening(tmp_path / "no" / "folder" / "s.sock")
    bind_unix(tmp_path / "s.sock").close()
    assert not is_listening(tmp_path / "s.sock")
    with pytest.raises(ConnectionRefusedError):
        connect_unix(tmp_path / "s.sock")


def test_an_error_leaves_no_descriptor_open(tmp_path: Path, descriptors: None) -> None:
    with pytest.raises(FileNotFoundError):
        bind_unix(tmp_path / "no" / "folder" / "s.sock")
    (tmp_path / "s.sock").mkdir()
    with pytest.raises(OSError, match=r"directory|permitted"):
        bind_unix(tmp_path / "s.sock")


def test_a_listener_that_takes_no_more_connections_holds_nobody_up(tmp_path: Path) -> None:
    """It is stopped or stuck, and many have knocked."""
    with bind_unix(tmp_path / "s.sock") as listener, ExitStack() as waiting:
        listener.listen(1)
        for _ in range(2):
            waiting.enter_context(connect_unix(tmp_path / "s.sock"))

        with pytest.raises(BlockingIOError):
            connect_unix(tmp_path / "s.sock")
        assert is_listening(tmp_path / "s.sock")


async def test_the_user_at_the_other_end_is_told_by_the_kernel(tmp_path: Path) -> None:
    with bind_unix(tmp_path / "s.sock") as listener, connect_unix(tmp_path / "s.sock") as client:
        server, _ = listener.accept()
        with trio.socket.from_stdlib_socket(server) as wrapped:
            assert peer_process(client) == peer_process(wrapped) == os.getpid()
            assert peer_user(client) == peer_user(wrapped) == os.geteuid()
            assert isinstance(client, socket.socket)
