"""What is wrong with a request over HTTP, as RFC 9457 "Problem Details" says it."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

__all__ = ["MEDIA_TYPE", "Problem", "ProblemError"]

MEDIA_TYPE = "application/problem+json"
_TITLES: Mapping[int, str] = MappingProxyType(
    {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        406: "Not Acceptable",
        408: "Request Timeout",
        409: "Conflict",
        411: "Length Required",
        413: "Content Too Large",
        415: "Unsupported Media Type",
        416: "Range Not Satisfiable",
        417: "Expectation Failed",
        421: "Misdirected Request",
        422: "Unprocessable Content",
        426: "Upgrade Required",
        429: "Too Many Requests",
        431: "Request Header Fields Too Large",
        500: "Internal Server Error",
        501: "Not Implemented",
        503: "Service Unavailable",
    }
)
"""RFC 9110, 15.5 and 15.6, and RFC 6585."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``type`` is left out: it is "about:blank", so that ``title`` is the words of the status."""

    title: str
    status: int
    detail: str
    """What is wrong."""
    where: str = ""
    """Which part of the request: ``query status``, ``body $.task``, ``header Host``."""
    hint: str = ""
    """What to do."""
    code: int = 0
    """Of the same error in JSON-RPC, where it has one."""


class ProblemError(Exception):
    """To be answered with this problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        where: str = "",
        hint: str = "",
        code: int = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = headers or {}
        self.problem = Problem(
            title=_TITLES.get(status, "Error"), status=status, detail=detail, where=where, hint=hint, code=code
        )
