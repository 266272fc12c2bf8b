"""Tokens of the port: the admin's is a secret; all others are made of it, say what they are for, and are kept nowhere.

A token made of the secret is ``SCOPE.NAME.EXPIRES.SIGNATURE``: the Unix time behind which it is worth nothing (0: none
such), and an HMAC-SHA256 of what stands before it. Whoever changes the secret ends them all.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from typing import get_args

import msgspec

from protocols.peer import Scope

__all__ = ["Grant", "check_token", "cookie_name", "make_token"]

_CONTEXT = b"callboard token\n"
_MADE = re.compile(r"(?P<scope>[a-z]{4,8})\.(?P<name>[A-Za-z0-9_-]{1,64})\.(?P<expires>0|[1-9][0-9]{0,11})\.", re.ASCII)
_LONGEST = 256
_SCOPES: dict[str, Scope] = {each: each for each in get_args(Scope)}


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a token stands for."""

    scope: Scope
    name: str
    """Of whoever has it; with the scope ``worker`` the id of an attempt. At most 64 of ``A-Z a-z 0-9 _ -``."""
    expires: int = 0
    """Unix time; 0: never."""


def make_token(secret: str, grant: Grant) -> str:
    """Raise ValueError where the name has other characters, or too many."""
    body = f"{grant.scope}.{grant.name}.{grant.expires}."
    if _MADE.fullmatch(body) is None:
        raise ValueError(f"a token cannot be named {grant.name!r}; use 1 to 64 of A-Z a-z 0-9 _ -")
    return body + _sign(secret, body)


def check_token(secret: str, token: str, now: float) -> Grant | None:
    """None for one that is wrong or over. How long it takes does not tell how much of it was right."""
    if len(token) > _LONGEST or not token.isascii():
        return None
    found = _MADE.match(token)
    if found is None:
        return Grant(scope="admin", name="admin") if hmac.compare_digest(token, secret) else None
    scope = _SCOPES.get(found["scope"])
    if not hmac.compare_digest(token[found.end() :], _sign(secret, found.group())) or scope is None:
        return None
    expires = int(found["expires"])
    return None if 0 < expires <= now else Grant(scope=scope, name=found["name"], expires=expires)


def cookie_name(secret: str) -> str:
    """Its own for each supervisor: browsers share the cookies of all ports of a host."""
    return "callboard-" + hashlib.sha256(b"callboard cookie\n" + secret.encode()).hexdigest()[:12]


def _sign(secret: str, body: str) -> str:
    digest = hmac.digest(secret.encode(), _CONTEXT + body.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
