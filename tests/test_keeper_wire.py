import json
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.keeper_process.wire import MAX_LINE, Peer


@pytest.fixture
def pair() -> Iterator[tuple[Peer, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    peer = Peer(ours)
    with theirs:
        yield peer, theirs
    peer.close()


def open_descriptors() -> int:
    return len(list(os.scandir("/proc/self/fd")))


def test_the_other_side_is_known_by_its_process(pair: tuple[Peer, socket.socket]) -> None:
    peer, _ = pair

    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.binary(max_size=50).map(lambda data: data.replace(b"\n", b"")), max_size=20),
    sizes=st.lists(st.integers(1, 40)),
)
def test_how_lines_are_cut_makes_no_difference(lines: list[bytes], sizes: list[int]) -> None:
    ours, theirs = socket.socketpair()
    peer, data, found = Peer(ours), b"".join(line + b"\n" for line in lines), []

    for size in [*sizes, len(data)]:
        part, data = data[:size], data[size:]
        theirs.sendall(part)
        found += peer.receive() or []

    peer.close()
    theirs.close()
    assert found == lines


def test_nothing_to_read_is_no_line_and_the_end_is_none(pair: tuple[Peer, socket.socket]) -> None:
    peer, theirs = pair

    assert peer.receive() == []
    theirs.sendall(b"half")
    assert peer.receive() == []
    theirs.close()
    assert peer.receive() is None


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_is_the_end(pair: tuple[Peer, socket.socket], end: bytes) -> None:
    peer, theirs = pair
    data = memoryview(b"x" * MAX_LINE + b"x" + end)
    theirs.setblocking(False)
    lines: list[bytes] | None = []

    while data and lines is not None:
        data = data[theirs.send(data) :]
        lines = peer.receive()
    while lines == []:
        lines = peer.receive()

    assert lines is None


def test_a_line_of_the_greatest_length_passes(pair: tuple[Peer, socket.socket]) -> None:
    peer, theirs = pair
    data = memoryview(b"x" * MAX_LINE + b"\n")
    theirs.setblocking(False)
    lines: list[bytes] | None = []

    while lines == []:
        data = data[theirs.send(data) :] if data else data
        lines = peer.receive()

    assert lines == [b"x" * MAX_LINE]


def test_descriptors_belong_to_the_messages_that_brought_them(pair: tuple[Peer, socket.socket]) -> None:
    peer, theirs = pair
    ends = [os.pipe() for _ in range(3)]
    theirs.sendall(b"plain\n")
    socket.send_fds(theirs, [b"one\n"], [ends[0][0]])
    socket.send_fds(theirs, [b"two\n"], [ends[1][0], ends[2][0]])

    lines: list[bytes] = []
    while len(lines) < 3:
        lines += peer.receive() or []
    first, second = peer.take_fds(1), peer.take_fds(2)

    assert first is not None and second is not None
    assert [os.fstat(fd).st_ino for fd in first + second] == [os.fstat(reader).st_ino for reader, _ in ends]
    assert not any(os.get_inheritable(fd) for fd in first + second)
    assert peer.take_fds(1) is None
    for fd in [*first, *second, *(fd for pair in ends for fd in pair)]:
        os.close(fd)


def test_strays_are_closed_but_not_while_their_message_is_on_its_way(pair: tuple[Peer, socket.socket]) -> None:
    peer, theirs = pair
    before = open_descriptors()
    socket.send_fds(theirs, [b"half"], [0, 0])

    peer.receive()
    peer.drop_strays()
    kept = open_descriptors() - before
    theirs.sendall(b" and half\n")
    peer.receive()
    peer.drop_strays()

    assert kept == 2
    assert open_descriptors() == before


def test_messages_wait_in_order_while_the_other_side_does_not_read(pair: tuple[Peer, socket.socket]) -> None:
    peer, theirs = pair
    before = open_descriptors()
    reader, writer = os.pipe()
    inode = os.fstat(reader).st_ino

    for number in range(5000):
        peer.send({"number": number, "text": "x" * 100})
    peer.send({"number": 5000}, [reader])
    peer.send({"number": 5001})
    assert peer.unsent
    data = b""
    fds: list[int] = []
    while data.count(b"\n") < 5002:
        part, more, _, _ = socket.recv_fds(theirs, 65536, 4)
        data, fds = data + part, fds + more
        peer.flush()

    assert [json.loads(line)["number"] for line in data.splitlines()] == list(range(5002))
    assert [os.fstat(fd).st_ino for fd in fds] == [inode]
    assert open_descriptors() == before + 2  # the write end, and the read end that came back
    for fd in [*fds, writer]:
        os.close(fd)


def test_what_cannot_be_sent_any_more_is_dropped_with_its_descriptors(pair: tuple[Peer, socket.socket]) -> None:
    peer, theirs = pair
    theirs.close()
    before = open_descriptors()

    peer.send({"number": 1}, [os.dup(0)])

    assert not peer.unsent
    assert open_descriptors() == before


def test_closing_drops_what_waits(pair: tuple[Peer, socket.socket]) -> None:
    peer, theirs = pair
    socket.send_fds(theirs, [b"x"], [0])
    peer.receive()
    before = open_descriptors()
    for _ in range(5000):
        peer.send({"text": "x" * 100})
    peer.send({}, [os.dup(0)])

    peer.close()

    assert before - open_descriptors() == 2  # the socket, and what came with the half message
    assert peer.fileno() == -1
