"""Who is let in at the port, and as what."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed

from actors.own_workers import find_worker
from actors.port.access import Access
from actors.port.caller import Caller
from actors.port.service import Message
from protocols.ids import AttemptId, FleetId
from protocols.peer import Peer
from protocols.problems import ProblemError
from protocols.senders import Senders
from protocols.tokens import Grant, make_token
from tests.port_client import SECRET, ask, open_port

_FLEET = "f" * 32
_ATTEMPT = "a" * 32
_TCP = Caller(address="127.0.0.1:1", group="127.0.0.1")
_ACCESS = Access(secret=SECRET, now=lambda: 1000.0)
_ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode()); s.shutdown(socket.SHUT_WR)
while part := s.recv(9999): sys.stdout.buffer.write(part)
"""


def _bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token.encode())]


def test_a_token_tells_the_scope_and_the_name() -> None:
    token = make_token(SECRET, Grant(scope="read", name="board"))

    peer = _ACCESS.identify(_bearer(token), _TCP)

    assert peer == Peer(scope="read", who="token board", address="127.0.0.1:1")
    assert [peer.may(each) for each in ("read", "operate", "admin")] == [True, False, False]


def test_a_token_of_a_worker_reads_only_and_names_the_attempt() -> None:
    token = make_token(SECRET, Grant(scope="worker", name=_ATTEMPT))

    peer = _ACCESS.identify(_bearer(token), _TCP)

    assert peer is not None
    assert (peer.scope, peer.attempt, peer.may("read"), peer.may("operate")) == ("worker", _ATTEMPT, True, False)


def test_a_worker_on_the_unix_socket_stays_one_whatever_token_it_found() -> None:
    worker = Caller(address="unix", group="user", user=os.geteuid(), pid=7, worker=AttemptId(_ATTEMPT))

    assert [_scope(_ACCESS.identify(headers, worker)) for headers in ([], _bearer(SECRET))] == ["worker", "worker"]


def test_a_process_of_our_user_that_is_no_worker_needs_no_token_but_may_narrow_itself_by_one() -> None:
    person = Caller(address="unix", group="user", user=os.geteuid(), pid=7)
    narrow = make_token(SECRET, Grant(scope="read", name="board"))

    assert _scope(_ACCESS.identify([], person)) == "admin"
    assert _scope(_ACCESS.identify(_bearer(narrow), person)) == "read"


def test_a_process_that_nobody_can_see_needs_a_token() -> None:
    hidden = Caller(address="unix", group="user", user=os.geteuid(), pid=0)

    assert _ACCESS.identify([], hidden) is None
    assert _scope(_ACCESS.identify(_bearer(SECRET), hidden)) == "admin"


@pytest.mark.parametrize("header", [b"Bearer", b"Bearer ", b"bearer wrong", b"Basic eDp5", b"", b"\xff"])
def test_a_wrong_token_is_refused_also_where_none_is_needed(header: bytes) -> None:
    person = Caller(address="unix", group="user", user=os.geteuid(), pid=7)

    with pytest.raises(ProblemError) as refused:
        _ACCESS.identify([(b"authorization", header)], person)
    assert refused.value.problem.status == 401
    assert refused.value.headers == {"www-authenticate": "Bearer"}


def test_the_sender_counts_before_the_token() -> None:
    access = Access(secret=SECRET, senders=Senders(hosts=frozenset({"board.example"})))

    access.check_sender([(b"host", b"board.example:1")], _TCP)
    with pytest.raises(ProblemError) as refused:
        access.check_sender([(b"host", b"evil.example"), *_bearer(SECRET)], _TCP)
    assert refused.value.problem.status == 421


async def test_the_first_frame_of_a_websocket_may_be_the_token(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.websocket(token=None) as socket:
        await socket.send_message(json.dumps({"jsonrpc": "2.0", "method": "auth", "params": {"token": SECRET}}))

        assert await socket.get_message() == "token admin"


@pytest.mark.parametrize(
    "frame",
    [
        '{"jsonrpc":"2.0","method":"auth","params":{"token":"wrong"}}',
        '{"jsonrpc":"2.0","id":1,"method":"worker.list","params":{}}',
        '{"jsonrpc":"2.0","method":"auth","params":{}}',
        "[" * 100_000,
        "",
        b"\xff\xfe",
    ],
)
async def test_a_websocket_whose_first_frame_is_anything_else_is_closed(frame: str | bytes, tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.websocket(token=None) as socket:
        await socket.send_message(frame)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.get_message()

        assert closed.value.reason is not None
        assert closed.value.reason.code == 1008
        assert port.counts.refused == {401: 1}


async def _tell_scope(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    peer: Peer = scope["state"]["peer"]
    text = f"{peer.scope} {peer.attempt}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@pytest.mark.parametrize(
    ("before", "mark", "told"),
    [
        ([], "", "worker None"),
        ([], f"{_FLEET}/{_ATTEMPT}", f"worker {_ATTEMPT}"),
        ([], f"{'e' * 32}/{'b' * 32}:{_FLEET}/{_ATTEMPT}:{'d' * 32}/{'c' * 32}", f"worker {_ATTEMPT}"),
        (["sh", "-c", 'env -i "$@"; exit $?', "sh"], f"{_FLEET}/{_ATTEMPT}", f"worker {_ATTEMPT}"),
    ],
    ids=["a child without a mark", "a worker", "a worker of an instance", "a child that hides the mark"],
)
async def test_a_process_in_the_tree_of_a_worker_has_its_scope(
    before: list[str], mark: str, told: str, tmp_path: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], **({"CALLBOARD_MARK": mark} if mark else {})}
    async with open_port(tmp_path, app=_tell_scope) as port:
        command = [*before, sys.executable, "-I", "-S", "-c", _ASK, str(port.socket), ask("GET", "/x").decode()]
        done = await trio.to_thread.run_sync(
            lambda: subprocess.run(command, env=environment, capture_output=True, check=False)
        )

    assert done.stdout.endswith(told.encode()), (done.stdout, done.stderr)


def test_a_process_that_is_gone_may_have_been_a_worker() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert find_worker(gone.pid, FleetId(_FLEET)) == ""


def test_we_and_what_is_no_child_of_ours_are_no_workers() -> None:
    assert find_worker(os.getpid(), FleetId(_FLEET)) is None
    assert find_worker(os.getppid(), FleetId(_FLEET)) is None


def _scope(peer: Peer | None) -> str:
    return peer.scope if peer else ""
