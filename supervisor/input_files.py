"""Reads the files that users write, and says what is wrong with one that cannot be read."""

from pathlib import Path

from protocols.errors import InputError
from protocols.wording import escaped

__all__ = ["decode_input", "read_input"]

_LONGEST = 4 * 1024 * 1024  # far above anything that somebody writes on purpose


def read_input(path: Path, file: str, error: type[InputError]) -> bytes:
    """The bytes of a file of at most 4 MiB. Raises ``error`` with one line that begins with ``file``."""
    try:
        with path.open("rb") as opened:
            source = opened.read(_LONGEST + 1)
    except FileNotFoundError:
        problem = "no such file; correct the path"
    except IsADirectoryError:
        problem = "a directory; name a file in it"
    except PermissionError:
        problem = "not readable for this user; change its permissions"
    except OSError as exc:
        problem = f"cannot be read ({exc.strerror}); name another file"
    else:
        if len(source) <= _LONGEST:
            return source
        problem = "larger than 4 MiB; make it smaller"
    raise error(f"{escaped(file)}: {problem}")


def decode_input(source: bytes, file: str, error: type[InputError]) -> str:
    """The text of such a file, which is UTF-8. Raises ``error`` with the line of the first wrong byte."""
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = source.count(b"\n", 0, exc.start) + 1
    raise error(f"{escaped(file)}: line {line}: not UTF-8; save the file as UTF-8")
