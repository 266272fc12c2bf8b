"""The routes of the port: which method of it each one calls, or what it answers by itself."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import msgspec

from protocols.kinds import Stream
from protocols.port_params import Wanted

__all__ = ["ROUTES", "EventsQuery", "OutputQuery", "Paging", "PublicHealth", "Route", "WorkerPaging"]

Verb: TypeAlias = Literal["GET", "POST"]
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a list; the header ``X-Total-Count`` tells of how many, ``Link`` where it goes on."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    """None: all of them."""
    offset: Natural = 0


class WorkerPaging(Paging, frozen=True, kw_only=True):
    role: tuple[str, ...] = ()
    """Only workers of these roles; none: of all."""


class OutputQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which output of a worker; which bytes of it tells the header ``Range``."""

    task: str
    attempt: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """None: the last one."""
    stream: Stream | None = None
    """None: the one that people mean first."""


class EventsQuery(Wanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records as they come, each as one event; its id is a cursor, ``RUN:SEQ``."""

    after: str | None = None
    """A cursor, or a number of this run; the header ``Last-Event-ID`` goes before it. None: from now on."""


class PublicHealth(msgspec.Struct, frozen=True, kw_only=True):
    """For everybody."""

    status: Literal["ok", "degraded", "stopping"]
    version: str


@dataclass(frozen=True, slots=True)
class Route:
    verb: Verb
    path: str
    """With names of fields in braces; what stands there may have slashes, or ``%2F`` for them."""
    calls: str
    """A method of `protocols.port_methods`; with a slash it is answered here."""
    summary: str = ""
    """Empty: that of the method."""
    status: int = 200
    part: str = ""
    """The field of the result that is a list and comes in parts."""
    paging: type[Paging] | None = None


def _list(path: str, method: str, part: str, paging: type[Paging] = Paging) -> Route:
    return Route("GET", path, method, part=part, paging=paging)


ROUTES = (
    Route("GET", "/health", "/health", "Whether the supervisor is there, for everybody."),
    Route("GET", "/api/openapi.json", "/openapi", "This document."),
    Route("GET", "/api/info", "system.info"),
    Route("GET", "/api/health", "system.health"),
    Route("GET", "/api/active", "/active", "What is at work now."),
    Route("GET", "/api/stats", "/stats", "Figures of the whole tree."),
    Route("GET", "/api/events", "/events", "Records as they come, as server-sent events."),
    Route("GET", "/api/records", "events.read"),
    _list("/api/workers", "worker.list", "workers", WorkerPaging),
    Route("POST", "/api/workers", "worker.spawn", status=201),
    Route("GET", "/api/workers/{task}/output", "/output", "What a worker wrote, byte for byte."),
    Route("POST", "/api/workers/{task}/stop", "worker.stop"),
    Route("POST", "/api/workers/{task}/kill", "worker.kill"),
    Route("POST", "/api/workers/{task}/restart", "worker.restart"),
    Route("POST", "/api/workers/{task}/signal", "worker.signal"),
    Route("POST", "/api/workers/{task}/resize", "worker.resize"),
    Route("GET", "/api/workers/{task}/commands", "command.list"),
    Route("POST", "/api/workers/{task}/commands", "worker.send", status=202),
    Route("GET", "/api/workers/{task}", "worker.get"),
    Route("GET", "/api/commands", "command.list"),
    Route("GET", "/api/commands/{command}", "command.get"),
    Route("GET", "/api/permissions", "permission.list"),
    Route("POST", "/api/permissions/{permission}", "permission.reply"),
    _list("/api/tasks", "task.list", "tasks"),
    Route("POST", "/api/tasks/{task}/cancel", "task.cancel"),
    Route("POST", "/api/tasks/{task}/retry", "task.retry"),
    Route("GET", "/api/tasks/{task}", "task.get"),
    _list("/api/runs", "run.list", "runs"),
    Route("POST", "/api/runs", "run.submit", status=201),
    Route("GET", "/api/runs/{run}/report", "run.report"),
    Route("POST", "/api/runs/{run}/cancel", "run.cancel"),
    Route("POST", "/api/runs/{run}/resume", "run.resume"),
    Route("GET", "/api/runs/{run}", "run.get"),
    _list("/api/sessions", "session.list", "sessions"),
    Route("GET", "/api/sessions/{task}", "session.get"),
    _list("/api/instances", "instance.list", "instances"),
    Route("POST", "/api/instances/{instance}/stop", "instance.stop"),
    Route("GET", "/api/instances/{instance}", "instance.get"),
    Route("POST", "/api/shutdown", "system.shutdown"),
)
"""Where several paths fit, the first one is meant."""
