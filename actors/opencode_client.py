"""The calls of an OpenCode server: each has a deadline, a bound and one kind of error. Nobody else imports httpx.

Source: opencode 1.18, ``GET /doc``. No connection outlives its call, so there is nothing to open, close or find stale.
"""

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import httpx
import msgspec
import trio

from actors.event_socket import EventSocket
from actors.session_messages import Endpoint
from protocols.errors import ServerError
from protocols.server_answers import answer_error, plain_url

__all__ = ["OpenCodeClient", "PermissionReply"]

PermissionReply = Literal["once", "always", "reject"]

_DEADLINE = 15.0  # creating a session in a new directory boots an instance: 0.5 s cold, 20 s with 32 at once
_PROBE = 0.8  # a server that is not yet ready takes a connection and never answers on it
_MOST = 64 * 1024 * 1024  # one message can hold files of several hundred kB, and a list many messages
_REFUSAL = 64 * 1024
_GOODBYE = 1.0
_STREAM = "text/event-stream"


class _Health(msgspec.Struct):
    version: str = ""


_health: msgspec.json.Decoder[_Health] = msgspec.json.Decoder(_Health)


@dataclass(slots=True)
class OpenCodeClient:
    """Every call raises `ServerError`. Answers are JSON texts as the server gave them.

    A call that is ``late`` or ``broken`` may have been carried out; one that is cancelled, too.
    """

    endpoint: Endpoint
    deadline: float = _DEADLINE
    """Seconds for a whole answer."""
    most: int = _MOST
    """Bytes of an answer."""
    _http: httpx.AsyncClient | None = field(default=None, init=False, repr=False)

    def __str__(self) -> str:
        return f"OpenCode server {plain_url(self.endpoint.url)}"

    async def health(self, deadline: float = _PROBE) -> str:
        """Its version, such as ``1.18.33``; empty where it does not say."""
        body = await self._call("GET", "/global/health", deadline=deadline)
        try:
            return _health.decode(body).version
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise ServerError(f"{self}: GET /global/health: {exc}; is it an OpenCode server?", "broken", 200) from exc

    async def create_session(
        self,
        directory: str,
        title: str = "",
        parent: str = "",
        permission: Sequence[Mapping[str, str]] = (),
        agent: str = "",
        model: str = "",
    ) -> bytes:
        """The new session. ``permission``: rules ``{permission, pattern, action}``; ``model``: ``provider/model``."""
        provider, _, name = model.partition("/")
        body = {
            "title": title,
            "parentID": parent,
            "permission": list(permission),
            "agent": agent,
            "model": {"providerID": provider, "id": name} if model else None,
        }
        given = {key: value for key, value in body.items() if value}
        return await self._call("POST", "/session", directory, msgspec.json.encode(given))

    async def prompt(self, session: str, body: bytes) -> None:
        """Accepted, not answered: what comes of it is told by the stream."""
        await self._call("POST", f"/session/{session}/prompt_async", body=body)

    async def abort(self, session: str) -> None:
        await self._call("POST", f"/session/{session}/abort")

    async def session(self, session: str) -> bytes:
        return await self._call("GET", f"/session/{session}")

    async def session_status(self, directory: str) -> bytes:
        """A map of the sessions of this directory that are not idle."""
        return await self._call("GET", "/session/status", directory)

    async def messages(self, session: str, limit: int = 0) -> bytes:
        """The last ones, oldest first; 0: all."""
        return await self._call("GET", f"/session/{session}/message", query={"limit": str(limit)} if limit else {})

    async def children(self, session: str) -> bytes:
        return await self._call("GET", f"/session/{session}/children")

    async def todos(self, session: str) -> bytes:
        return await self._call("GET", f"/session/{session}/todo")

    async def permissions(self, directory: str = "") -> bytes:
        """Those that wait. Some are of sessions that were aborted or deleted."""
        return await self._call("GET", "/permission", directory)

    async def questions(self, directory: str = "") -> bytes:
        return await self._call("GET", "/question", directory)

    async def reply_permission(
        self, permission: str, reply: PermissionReply, message: str = "", *, session: str, directory: str = ""
    ) -> None:
        """``not-found``: it is answered already, or its session has ended. ``directory``: that of its session. A server
        that does not know the call gets the older one, which has no room for a message."""
        body = {"reply": reply} | ({"message": message} if message else {})
        try:
            await self._call("POST", f"/permission/{permission}/reply", directory, msgspec.json.encode(body))
        except ServerError as error:
            if error.kind != "not-found":
                raise
            path, older = f"/session/{session}/permissions/{permission}", msgspec.json.encode({"response": reply})
            await self._call("POST", path, directory, older)

    async def reply_question(self, question: str, answers: Sequence[Sequence[str]], *, directory: str = "") -> None:
        """``answers``: for each of its questions the labels that are chosen. Errors as of `reply_permission`."""
        await self._call("POST", f"/question/{question}/reply", directory, msgspec.json.encode({"answers": answers}))

    async def reject_question(self, question: str, *, directory: str = "") -> None:
        await self._call("POST", f"/question/{question}/reject", directory)

    @asynccontextmanager
    async def stream(self, directory: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of ``/global/event``, or of ``/event`` of one directory, as they come; they end where it ends.

        Only the beginning has a deadline. Reading raises `ServerError` where the stream is cut off.
        """
        path = "/global/event" if directory is None else "/event"
        where = f"{self}: GET {path}"
        request = self._request("GET", path, directory or "")
        async with AsyncExitStack() as stack:
            with _translated(where, self.deadline), trio.fail_after(self.deadline):
                chunks = await self._socket(request, stack) or await self._response(where, request, stack)
            yield await stack.enter_async_context(aclosing(_told(where, chunks)))

    async def _socket(self, request: httpx.Request, stack: AsyncExitStack) -> AsyncGenerator[bytes] | None:
        """The chunks that a socket of our own brings; None where that is not possible."""
        url = request.url
        if url.scheme != "http" or url.userinfo:
            return None
        opened = await EventSocket.open(url.host, url.port or 80, _written(request, self.endpoint))
        if opened is None:
            return None
        stack.push_async_callback(opened.close)
        return await stack.enter_async_context(aclosing(opened.chunks()))

    async def _response(self, where: str, request: httpx.Request, stack: AsyncExitStack) -> AsyncIterator[bytes]:
        response = await self._client.send(request, stream=True)
        stack.push_async_callback(_close, response)
        await _check(where, response, _STREAM)
        chunks = response.aiter_raw()
        stack.push_async_callback(_abandon, chunks)
        return chunks

    async def _call(
        self,
        method: str,
        path: str,
        directory: str = "",
        body: bytes = b"",
        *,
        query: Mapping[str, str] | None = None,
        deadline: float = 0.0,
    ) -> bytes:
        within = deadline or self.deadline
        where = f"{self}: {method} {path}"
        with _translated(where, within), trio.fail_after(within):
            response = await self._client.send(self._request(method, path, directory, body, query), stream=True)
            try:
                await _check(where, response)
                return await _whole(where, response, self.most)
            finally:
                await _close(response)

    def _request(
        self, method: str, path: str, directory: str = "", body: bytes = b"", query: Mapping[str, str] | None = None
    ) -> httpx.Request:
        asked = dict(query or {}) | ({"directory": directory} if directory else {})
        headers = {"accept-encoding": "identity", "connection": "close"}
        if body:
            headers["content-type"] = "application/json"
        return self._client.build_request(
            method, self.endpoint.url + path, params=asked or None, headers=headers, content=body or None
        )

    @property
    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                auth=(self.endpoint.user, self.endpoint.password) if self.endpoint.password else None,
                verify=self.endpoint.url.startswith("https:"),  # a trust store costs 25 ms
                trust_env=False,
                timeout=None,  # noqa: S113 - our deadlines are around whole calls
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            )
        return self._http


async def _check(where: str, response: httpx.Response, wanted: str = "") -> None:
    """Raise what the status and the kind of the answer say."""
    kind = response.headers.get("content-type", "")
    if response.is_success and wanted not in kind and "html" not in kind:
        raise ServerError(f"{where}: {kind or 'an answer without a type'} in place of {wanted}", "not-found", 200)
    body = b"" if response.is_success else await _whole(where, response, _REFUSAL)
    error = answer_error(where, response.status_code, kind, body)
    if error is not None:
        raise error


async def _whole(where: str, response: httpx.Response, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    chunks = response.aiter_raw()
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            await _abandon(chunks)
            raise ServerError(f"{where}: more than {most} bytes", "too-big", response.status_code)
        pieces.append(chunk)
    return b"".join(pieces)


async def _abandon(chunks: AsyncIterator[bytes]) -> None:
    """End the reading: httpx nests generators, and only what is raised in the innermost ends them all."""
    with suppress(httpx.HTTPError), trio.CancelScope() as scope:
        scope.cancel(reason="nobody reads on")
        async for _ in chunks:
            pass


async def _told(where: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    with _translated(where, 0.0):
        async for chunk in chunks:
            yield chunk


def _written(request: httpx.Request, endpoint: Endpoint) -> bytes:
    """A request without a body as it goes over the wire."""
    lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if endpoint.password:
        known = b64encode(f"{endpoint.user}:{endpoint.password}".encode()).decode()
        lines.append(f"authorization: Basic {known}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _close(response: httpx.Response) -> None:
    """At once: the socket is thrown away, so nobody is waited for. One with TLS says goodbye to who may not listen."""
    with trio.move_on_after(_GOODBYE, shield=True):
        await response.aclose()


@contextmanager
def _translated(where: str, deadline: float) -> Iterator[None]:
    try:
        yield
    except ServerError as exc:
        if str(exc).startswith(where):
            raise
        raise ServerError(f"{where}: {exc}", exc.kind, exc.status) from exc
    except trio.TooSlowError as exc:
        raise ServerError(f"{where}: no answer within {deadline:g} s; it may be busy, or stuck", "late") from exc
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as exc:
        raise ServerError(f"{where}: {_why(exc)}; is it running, and is this its address?", "unreachable") from exc
    except httpx.HTTPError as exc:
        raise ServerError(f"{where}: {_why(exc)}; it was cut off, or the server ended", "broken") from exc
    except OSError as exc:
        raise ServerError(f"{where}: {_why(exc)}; is it running, and is this its address?", "unreachable") from exc


def _why(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
