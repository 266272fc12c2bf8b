"""What goes wrong at the HTTP side of the port, as RFC 9457 (https://www.rfc-editor.org/rfc/rfc9457) writes it."""

from collections.abc import Mapping

import msgspec

__all__ = ["PROBLEM_JSON", "Problem", "ProblemError", "problem"]

PROBLEM_JSON = "application/problem+json"
# With the type about:blank the title is the phrase of the status: RFC 9110, 15; RFC 6585.
_TITLES = {
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
    421: "Misdirected Request",
    422: "Unprocessable Content",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``type`` is left out: it is then "about:blank", so that ``title`` is the phrase of the status."""

    title: str
    status: int
    detail: str
    """What is wrong; where there is no ``where`` or ``hint``, that as well."""
    where: str = ""
    """Which part of the request: ``query status``, ``body task``, ``header Range``."""
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
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.problem = msgspec.structs.replace(problem(status, detail), where=where, hint=hint, code=code)


def problem(status: int, detail: str) -> Problem:
    return Problem(title=_TITLES.get(status, "Error"), status=status, detail=detail)
