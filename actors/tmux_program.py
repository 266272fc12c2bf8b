"""The program tmux: where it is, and whether it is new enough for us."""

import os
import re
import shutil

__all__ = ["find_tmux", "tmux_problem"]

_NEEDED = (3, 2)  # flags of clients, and its clients never start a server
_ADVICE = "install tmux 3.2 or later"


def find_tmux(path: str) -> tuple[str, str]:
    """Its path and version, such as ``3.3a``; both empty where it is not on this PATH."""
    program = shutil.which("tmux", path=path) or ""
    return program, _version(program) if program else ""


def tmux_problem(path: str) -> str:
    """Why it cannot be used, and what to do; empty where it can."""
    program, version = find_tmux(path)
    if not program:
        return f"tmux is not installed; {_ADVICE}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if version != "master" and numbers < _NEEDED:
        return f"{program} is {f'version {version}' if version else 'no tmux that tells its version'}; {_ADVICE}"
    return ""


def _version(program: str) -> str:
    """What it says. It may be another program of that name, and say anything."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(program, [program, "-V"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1)])
    except OSError:
        os.close(ours)
        return ""
    finally:
        os.close(theirs)
    words = os.read(ours, 200).decode(errors="replace").split()
    os.close(ours)
    os.waitpid(pid, 0)
    return words[1].removeprefix("next-") if words[:1] == ["tmux"] and len(words) > 1 else ""
