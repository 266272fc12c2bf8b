"""The HTTP side of the port: an ASGI application over the methods of the port, and the streams beside them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

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
from protocols.problems import ProblemError
from protocols.query import decode_query
from protocols.port_params import NoParams

__all__ = ["HttpSide", "make_app"]

Answer: TypeAlias = Callable[[Request], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSide:
    """What its routes need."""

    dispatcher: Dispatcher
    feed: Feed
    version: str
    streams_per_user: int = 256


def make_app(side: HttpSide) -> ASGIApp:
    """``scope["state"]["peer"]`` is who asks; without one only ``/health`` is answered."""
    register_url_convertor("name", _Name())
    own = _Own(side)
    paths = dict.fromkeys(route.path for route in ROUTES)
    app = Starlette(
        routes=[Path(_pattern(path), _Endpoint(own, {r.verb: r for r in ROUTES if r.path == path})) for path in paths],
        exception_handlers={HTTPException: answer_error, Exception: answer_error},
    )
    app.router.redirect_slashes = False
    return _RawPaths(app)
