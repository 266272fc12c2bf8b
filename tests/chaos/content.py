"""What a chaotic worker writes: the same bytes for the same seed, in pieces of any size. Standard library only."""

import hashlib

__all__ = ["Content"]

_TAILS = (
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b" 42%\r",
    b"",
    "é日本語🚀\n".encode(),
    b"\x1b[31mred\x1b[0m\x07\n",
    b"\x00\xff\xfe no text \x80\n",
    b"no line end ",
)


class Content:
    """An endless text: numbered pieces, some of them no text at all. Pieces of it are cut anywhere."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._number = 0
        self._rest = b""

    def take(self, size: int) -> bytes:
        """The next bytes."""
        parts, have = [self._rest], len(self._rest)
        while have < size:
            parts.append(self._piece())
            have += len(parts[-1])
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]

    def _piece(self) -> bytes:
        self._number += 1
        digest = hashlib.sha256(f"{self._seed}/{self._number}".encode()).digest()
        repeated = digest.hex().encode() * (1 + digest[1] // 8)
        return b"%d %s%s" % (self._number, repeated, _TAILS[digest[0] % len(_TAILS)])
