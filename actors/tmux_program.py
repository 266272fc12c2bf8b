"""The program tmux: where it is, and whether it is new enough for us."""

import re
import shutil

from actors.program_version import ask_version

__all__ = ["find_tmux", "tmux_problem"]

_NEEDED = (3, 2)  # flags of clients, and its clients never start a server
_DEADLINE = 10.0
_ADVICE = "install tmux 3.2 or later"


def find_tmux(path: str, deadline: float = _DEADLINE) -> tuple[str, str]:
    """Its path and version, such as ``3.3a``.

    Both are empty where it is not on this PATH; the version is, where the program does not tell it in time.
    """
    program = shutil.which("tmux", path=path) or ""
    return program, _version(program, deadline) if program else ""


def tmux_problem(path: str) -> str:
    """Why it cannot be used, and what to do; empty where it can."""
    program, version = find_tmux(path)
    if not program:
        return f"tmux is not installed; {_ADVICE}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if version != "master" and numbers < _NEEDED:
        return f"{program} is {f'version {version}' if version else 'no tmux that tells its version'}; {_ADVICE}"
    return ""


def _version(program: str, deadline: float) -> str:
    words = ask_version((program, "-V"), {}, deadline).split()
    return words[1].removeprefix("next-") if words[:1] == ["tmux"] and len(words) > 1 else ""
