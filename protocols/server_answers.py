"""What an OpenCode server's HTTP answers mean to us: the error behind a status, in words for a user.

Source: opencode 1.18, recorded answers. An unknown path is not refused: the server answers 200 with a web page.
"""

from collections.abc import Mapping

import msgspec

from protocols.errors import ServerError, ServerErrorKind
from protocols.wording import escaped

__all__ = ["answer_error", "plain_url"]

_LONGEST = 300
_KINDS: Mapping[int, ServerErrorKind] = {
    400: "bad-request",
    401: "refused-password",
    403: "refused-password",
    404: "not-found",
    409: "conflict",
    413: "too-big",
    422: "bad-request",
}
_ADVICE: Mapping[ServerErrorKind, str] = {
    "refused-password": "give the password that this server was started with",
    "not-found": "it was deleted, or never was on this server",
    "conflict": "somebody else was faster; look at its state",
    "bad-request": "this version of OpenCode may want it in another form",
    "broken": "look at the server's log",
    "too-big": "ask for less",
}


class _Data(msgspec.Struct):
    message: str = ""


class _Refusal(msgspec.Struct):
    """Both of its forms: ``{name, data: {message}}`` and ``{_tag, message}``."""

    message: str = ""
    data: _Data | None = None


_decoder: msgspec.json.Decoder[_Refusal] = msgspec.json.Decoder(_Refusal)


def answer_error(where: str, status: int, content_type: str, body: bytes) -> ServerError | None:
    """The error that an answer is; None if it is none. ``where`` names the server and the call."""
    if 200 <= status < 300:
        if "html" in content_type:
            text = f"{where}: this server knows no such call; is it an OpenCode server, and of a version that has it?"
            return ServerError(text, "not-found", status)
        return None
    kind = _KINDS.get(status, "broken")
    said = _said(body)
    return ServerError(f"{where}: {status} {said}; {_ADVICE.get(kind, _ADVICE['broken'])}", kind, status)


def plain_url(url: str) -> str:
    """The address without a user and password that stand in it."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return scheme + separator + host.rpartition("@")[2] + slash + path


def _said(body: bytes) -> str:
    try:
        refusal = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "without a reason"
    text = refusal.message or (refusal.data.message if refusal.data is not None else "")
    return escaped(" ".join(text.split())[:_LONGEST]) or "without a reason"
