"""The calls of an OpenCode server: what goes over the wire, and what each failure is called."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
import trio

from actors.opencode_client import OpenCodeClient
from actors.session_messages import Endpoint
from protocols.errors import ServerError
from protocols.server_answers import plain_url

__all__: list[str] = []

SECRET = "gehe!m"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Raw:
    """A server that answers every request with these bytes, and ends the connection unless it stays."""

    answer: bytes
    stays: bool = False
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            request = b""
            while not _whole(request):
                request += await stream.receive_some()
            self.requests.append(request)
            await stream.send_all(self.answer)
            if self.stays:
                await trio.sleep_forever()


@asynccontextmanager
async def _client(raw: Raw, *, password: str = SECRET, **fields: float) -> AsyncIterator[OpenCodeClient]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, raw.serve, listeners)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield OpenCodeClient(Endpoint(url, password), **fields)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()


def _whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    wanted = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(end) and len(body) >= int(wanted or 0)


def _answer(status: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("call", "line", "body"),
    [
        (lambda c: c.session_status("/a b"), "GET /session/status?directory=%2Fa%20b", None),
        (lambda c: c.messages("ses_1", 5), "GET /session/ses_1/message?limit=5", None),
        (lambda c: c.prompt("ses_1", b'{"parts":[]}'), "POST /session/ses_1/prompt_async", {"parts": []}),
        (lambda c: c.abort("ses_1"), "POST /session/ses_1/abort", None),
        (
            lambda c: c.create_session("/d", "title", model="local/a/b", agent="plan"),
            "POST /session?directory=%2Fd",
            {"title": "title", "agent": "plan", "model": {"providerID": "local", "id": "a/b"}},
        ),
        (
            lambda c: c.reply_permission("per_1", "reject", "no", session="ses_1", directory="/d"),
            "POST /permission/per_1/reply?directory=%2Fd",
            {"reply": "reject", "message": "no"},
        ),
        (lambda c: c.reply_question("que_1", [["a"]]), "POST /question/que_1/reply", {"answers": [["a"]]}),
    ],
)
async def test_a_call_is_one_request_with_the_password(
    call: Callable[[OpenCodeClient], Awaitable[object]], line: str, body: object
) -> None:
    raw = Raw(_answer("200 OK", b"true"))
    async with _client(raw) as client:
        await call(client)

    (request,) = raw.requests
    head, _, sent = request.partition(b"\r\n\r\n")
    path = head.decode().split(" HTTP/1.1")[0]
    assert path.replace("+", "%20") == line
    assert f"basic {base64.b64encode(f'opencode:{SECRET}'.encode()).decode()}".lower() in head.decode().lower()
    assert (msgspec.json.decode(sent) if sent else None) == body


@pytest.mark.parametrize(
    ("answer", "kind", "status", "said"),
    [
        (_answer("401 Unauthorized"), "refused-password", 401, "give the password"),
        (_answer("404 Not Found", b'{"name":"NotFoundError","data":{"message":"no x"}}'), "not-found", 404, "no x"),
        (_answer("404 Not Found", b'{"_tag":"PermissionNotFoundError","message":"y"}'), "not-found", 404, "404 y;"),
        (_answer("409 Conflict", b"{}"), "conflict", 409, "without a reason"),
        (_answer("400 Bad Request", b"nonsense"), "bad-request", 400, "without a reason"),
        (_answer("500 Oops", b'{"data":{"message":"a\\u001b[2Jb"}}'), "broken", 500, "a\\x1b[2Jb"),
        (_answer("200 OK", b"<html>", "text/html"), "not-found", 200, "knows no such call"),
        (b"SSH-2.0-OpenSSH\r\n", "broken", 0, "cut off"),
        (b"", "broken", 0, "cut off"),
        (_answer("200 OK", b"[]")[:-1] + b"", "broken", 0, "cut off"),
    ],
)
async def test_each_failure_is_one_error_that_says_what_and_where_and_never_the_password(
    answer: bytes, kind: str, status: int, said: str
) -> None:
    async with _client(Raw(answer)) as client:
        with pytest.raises(ServerError) as caught:
            await client.todos("ses_1")

    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert said in str(caught.value)
    assert f"OpenCode server {client.endpoint.url}: GET /session/ses_1/todo: " in str(caught.value)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("answer", [("200 OK", b"<html>", "text/html"), ("404 Not Found", b"{}", "application/json")])
async def test_a_server_that_knows_no_such_reply_gets_the_older_one(answer: tuple[str, bytes, str]) -> None:
    raw = Raw(_answer(*answer))
    async with _client(raw) as client:
        with pytest.raises(ServerError) as caught:
            await client.reply_permission("per_1", "once", session="ses_1", directory="/d")

    assert caught.value.kind == "not-found"
    lines = [request.partition(b" HTTP/1.1")[0].decode() for request in raw.requests]
    assert lines == [
        "POST /permission/per_1/reply?directory=%2Fd",
        "POST /session/ses_1/permissions/per_1?directory=%2Fd",
    ]
    assert raw.requests[1].endswith(b'{"response":"once"}')


def test_the_password_is_in_no_representation() -> None:
    client = OpenCodeClient(Endpoint("http://127.0.0.1:1", SECRET))

    assert SECRET not in repr(client) and SECRET not in repr(client.endpoint)


async def test_nobody_there_is_unreachable() -> None:
    async with _client(Raw(b"")) as client:
        pass
    with pytest.raises(ServerError, match="is it running") as caught:
        await client.health()
    assert caught.value.kind == "unreachable"

    with pytest.raises(ServerError) as caught:
        async with client.stream():
            pass
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("sent", [b"", JSON, JSON + b'{"half'])
async def test_an_answer_that_does_not_come_is_late(sent: bytes) -> None:
    async with _client(Raw(sent, stays=True), deadline=0.2) as client:
        with pytest.raises(ServerError, match="no answer within") as caught:
            await client.children("ses_1")

    assert caught.value.kind == "late"


async def test_an_answer_beyond_the_bound_is_too_big() -> None:
    async with _client(Raw(JSON + b"[" * 5000), most=1000) as client:
        with pytest.raises(ServerError, match="more than 1000 bytes") as caught:
            await client.messages("ses_1")

    assert caught.value.kind == "too-big"


async def test_the_version_is_told_and_what_is_no_opencode_server_too() -> None:
    async with _client(Raw(_answer("200 OK", b'{"healthy":true,"version":"1.18.33"}'))) as client:
        assert await client.health(5) == "1.18.33"
    async with _client(Raw(_answer("200 OK", b"[1]"))) as client:
        with pytest.raises(ServerError, match="is it an OpenCode server"):
            await client.health(5)


async def test_a_stream_gives_what_comes_until_it_ends() -> None:
    async with _client(Raw(STREAM + b"3\r\none\r\n5\r\n, two\r\n0\r\n\r\n")) as client, client.stream() as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"one, two"


async def test_a_stream_that_is_cut_off_says_so() -> None:
    async with _client(Raw(STREAM + b"3\r\none\r\n5\r\n, t")) as client, client.stream("/d") as chunks:
        with pytest.raises(ServerError, match=r"GET /event: .*in the middle") as caught:
            async for _ in chunks:
                pass

    assert caught.value.kind == "broken"


async def test_a_stream_may_be_left_in_its_midst() -> None:
    async with _client(Raw(STREAM + b"3\r\none\r\n", stays=True)) as client:
        async with client.stream() as chunks:
            assert await anext(chunks) == b"one"
        with trio.move_on_after(0.05):
            async with client.stream() as chunks:
                async for _ in chunks:
                    pass


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (_answer("401 Unauthorized"), "refused-password"),
        (_answer("200 OK", b"<html>", "text/html"), "not-found"),
        (_answer("200 OK", b"{}"), "not-found"),
        (_answer("404 Not Found"), "not-found"),
        (_answer("500 Oops"), "broken"),
    ],
)
async def test_what_is_no_stream_is_an_error(answer: bytes, kind: str) -> None:
    async with _client(Raw(answer)) as client:
        with pytest.raises(ServerError) as caught:
            async with client.stream():
                pass

    assert caught.value.kind == kind
    assert SECRET not in str(caught.value)


async def test_a_stream_that_is_not_chunked_is_read_too() -> None:
    plain = STREAM.replace(b"transfer-encoding: chunked\r\n", b"connection: close\r\n")
    async with _client(Raw(plain + b"data: x\n\n")) as client, client.stream() as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"data: x\n\n"


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with _client(Raw(_answer("200 OK", b"[]"))) as client:
        assert await client.todos("ses_1") == b"[]"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@host:1/x", "http://host:1/x"),
        ("http://host:1", "http://host:1"),
        ("http://u:p@q@host", "http://host"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(url: str, shown: str) -> None:
    assert plain_url(url) == shown
