"""The program opencode: where it is, and which version of it."""

import re
import shutil
import tempfile

from actors.program_version import ask_version

__all__ = ["find_opencode"]

_DEADLINE = 10.0  # it is large: a second from a cold disk
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+\S*)")


def find_opencode(path: str, deadline: float = _DEADLINE) -> tuple[str, str]:
    """Its path and version, such as ``1.18.33``.

    Both are empty where it is not on this PATH; the version is, where the program does not tell it in time.
    """
    program = shutil.which("opencode", path=path) or ""
    return program, _version(program, path, deadline) if program else ""


def _version(program: str, path: str, deadline: float) -> str:
    with tempfile.TemporaryDirectory(prefix="callboard-doctor-") as home:  # it writes to its home even for this
        said = ask_version((program, "--version"), {"HOME": home, "PATH": path}, deadline)
    found = _VERSION.fullmatch(said)
    return found[1] if found else ""
