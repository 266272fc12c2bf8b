"""What goes wrong at the HTTP side of the port, as RFC 9457 (https://www.rfc-editor.org/rfc/rfc9457) writes it."""

import msgspec

__all__ = ["PROBLEM_JSON", "Problem", "problem"]

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


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "about:blank"
    title: str
    status: int
    detail: str
    """What, where, and what to do."""


def problem(status: int, detail: str) -> Problem:
    return Problem(title=_TITLES.get(status, "Error"), status=status, detail=detail)
