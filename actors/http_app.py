"""The HTTP side of the port: an ASGI application over the methods of the port, and the streams beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from actors.dispatcher import Dispatcher
from actors.feed import Feed
from actors.http_answers import answer_error, answer_json, answer_problem
from actors.http_calls import call, peer_of
from actors.http_events import EventStreams
from actors.http_output import answer_output
from protocols.http_routes import ROUTES, PublicHealth, Route
from protocols.port_figures import tell_active, tell_stats
from protocols.port_params import NoParams
from protocols.problems import ProblemError
from protocols.query import decode_query

__all__ = ["HttpSide", "make_app"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSide:
    """What its routes need."""

    dispatcher: Dispatcher
    feed: Feed
    version: str
    streams_per_user: int = 256


@dataclass(frozen=True, slots=True)
class _Answers:
    side: HttpSide
    streams: EventStreams

    async def find(self, request: Request, route: Route) -> ASGIApp:
        """Raise `ProblemError`."""
        reader = self.side.dispatcher.reader
        if route.calls == "/health":
            return self._health()
        peer = peer_of(request)
        match route.calls:
            case "/events":
                return self.streams.open(request, peer)
            case "/output":
                return await answer_output(reader, request)
            case "/active" | "/stats":
                decode_query(request.query_params.multi_items(), NoParams)
                now, count = reader.now(), self.streams.count
                stats = tell_stats(reader.view, now, count) if route.calls == "/stats" else tell_active(reader.view)
                return answer_json(stats)
            case "/openapi":
                from protocols.openapi import openapi_document  # noqa: PLC0415 - hardly anybody asks for it

                return answer_json(openapi_document())
            case _:
                return await call(self.side.dispatcher, request, route)

    def _health(self) -> ASGIApp:
        """For everybody: nothing of what the fleet does."""
        health = self.side.dispatcher.reader.health()
        return answer_json(PublicHealth(status=health.status, version=self.side.version))


def make_app(side: HttpSide) -> ASGIApp:
    """``scope["state"]["peer"]`` is who asks; without one only ``/health`` is answered."""
    register_url_convertor("name", _Name())
    streams = EventStreams(feed=side.feed, view=lambda: side.dispatcher.reader.view, most=side.streams_per_user)
    answers = _Answers(side, streams)
    paths = dict.fromkeys(route.path for route in ROUTES)
    app = Starlette(
        routes=[
            Path(_pattern(path), _Endpoint(answers, {r.verb: r for r in ROUTES if r.path == path})) for path in paths
        ],
        exception_handlers={HTTPException: answer_error, Exception: answer_error},
    )
    app.router.redirect_slashes = False
    return _RawPaths(app)


class _Name(Convertor[str]):
    """Of a task or a run: what the path has there, slashes included."""

    regex = ".+"

    def convert(self, value: str) -> str:
        return unquote(value, errors="replace")

    def to_string(self, value: str) -> str:
        return quote(value)


@dataclass(frozen=True, slots=True)
class _RawPaths:
    """Routes see the path as it was sent: ``build%2Foutput`` is a name, ``build/output`` the output of ``build``."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "raw_path" in scope:
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """All that a path answers."""

    answers: _Answers
    verbs: Mapping[str, Route]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self.answers.find(request, self._route(request))
        except ProblemError as error:
            answer = answer_problem(error)
        await answer(scope, receive, send)

    def _route(self, request: Request) -> Route:
        route = self.verbs.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = ", ".join(["HEAD", *self.verbs] if "GET" in self.verbs else self.verbs)
            raise ProblemError(
                405,
                f"{request.url.path} does not take {request.method}",
                where="method",
                hint=f"it takes {allowed}",
                headers={"allow": allowed},
            )
        return route


def _pattern(path: str) -> str:
    return path.replace("}", ":name}")
