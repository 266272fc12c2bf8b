"""The payloads of OpenCode's events and answers, as far as they are of use; read leniently.

Source: opencode 1.18, ``GET /doc`` and recorded streams.
"""

__all__ = ["make_message_id"]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def make_message_id(at: float, count: int, salt: bytes) -> str:
    """The id of a message of ours, that sorts behind those before it as the server's own do.

    ``at`` in Unix time, ``count`` of ids made in that millisecond (up to 4095), ``salt`` of 14 random bytes. Form of
    opencode's ``Identifier.ascending``: 48 bits of milliseconds * 4096 + count in hexadecimal, then 14 characters.
    """
    moment = (int(at * 1000) * 0x1000 + count) & 0xFFFF_FFFF_FFFF
    return f"msg_{moment:012x}{''.join(_DIGITS[each % 62] for each in salt[:14])}"
