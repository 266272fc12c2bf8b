"""What the routes of the port answer with: JSON, or what is wrong as problem details."""

import logging
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from protocols.event_codec import encode_any
from protocols.problems import MEDIA_TYPE, ProblemError

__all__ = ["answer_error", "answer_json", "answer_problem"]

logger = logging.getLogger(__name__)
_NOT_KEPT = {"cache-control": "no-store"}


def answer_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_any(value), status, {**_NOT_KEPT, **(headers or {})}, "application/json")


def answer_problem(error: ProblemError) -> Response:
    return Response(
        encode_any(error.problem), error.problem.status, {**_NOT_KEPT, **error.headers}, media_type=MEDIA_TYPE
    )


async def answer_error(request: Request, error: Exception) -> Response:
    """Of whatever a route raised. What is a mistake of ours is logged, and not told."""
    if isinstance(error, ProblemError):
        return answer_problem(error)
    if isinstance(error, HTTPException):
        where = f"{request.method} {request.url.path}"
        return answer_problem(
            ProblemError(error.status_code, error.detail, where=where, headers=dict(error.headers or {}))
        )
    logger.error("%s %s", request.method, request.url.path, exc_info=error)
    return answer_problem(
        ProblemError(500, "the supervisor has made a mistake; its log tells more", hint="report it, with that log")
    )
