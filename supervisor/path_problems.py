"""What is wrong with the paths that a plan names, before anything starts: in words, empty where nothing is."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from protocols.wording import quote

__all__ = ["file_problem", "find_command", "folder_problem", "stdin_problem"]

_UNREADABLE = "is not readable for this user; change its permissions"
_NO_FILE = "is no file; name one"


def folder_problem(path: str) -> str:
    """Somebody is to work there."""
    entered = "cannot be entered by this user; change its permissions"
    return _problem(path, stat.S_ISDIR, "is no directory; name one", os.X_OK, entered)


def file_problem(path: str, *, later: bool = False) -> str:
    """It is to be read. ``later``: it need not be there yet."""
    if later and not _may(path, os.F_OK):
        return ""
    return _problem(path, stat.S_ISREG, _NO_FILE, os.R_OK, _UNREADABLE)


def stdin_problem(path: str) -> str:
    """A worker is to read it. Opening a pipe would wait for its writer."""
    return _problem(path, lambda mode: stat.S_ISREG(mode) or stat.S_ISCHR(mode), _NO_FILE, os.R_OK, _UNREADABLE)


def find_command(name: str, cwd: str, path: str) -> tuple[str, str]:
    """What a worker in ``cwd`` runs under this name, as an absolute path; and the problem where there is none."""
    if "/" in name:
        command = str(Path(cwd, name))
        problem = _command_problem(command)
        return ("", problem) if problem else (command, "")
    problem = ""
    for folder in path.split(os.pathsep):
        command = str(Path(cwd, folder, name))
        if _may(command, os.F_OK):
            problem = _command_problem(command)
            if not problem:
                return command, ""
    return "", problem or f"no command {quote(name)} on PATH; install it, or correct the name"


def _command_problem(command: str) -> str:
    executed = "is not executable; run chmod +x on it"
    return _problem(command, stat.S_ISREG, "is no file; name one that can be run", os.X_OK, executed)


def _problem(path: str, fits: Callable[[int], bool], unfit: str, access: int, denied: str) -> str:
    """``fits``: whether a file with these bits of its mode is what is wanted."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        return f"{quote(path)}: {why}; it must be there before the run starts"
    if not fits(mode):
        return f"{quote(path)} {unfit}"
    return "" if _may(path, access) else f"{quote(path)} {denied}"


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)
