"""The state folder: where the folders of all fleets lie."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from actors.files import make_folder, replace_file
from protocols.errors import StateError
from protocols.layout import StateFolder
from supervisor.identity import is_run_name

__all__ = ["check_state", "open_state", "state_error"]

_ELSEWHERE = "or choose another state folder"
_ADVICE = {
    errno.EACCES: f"make it writable for you, {_ELSEWHERE}",
    errno.EPERM: f"make it writable for you, {_ELSEWHERE}",
    errno.EROFS: "choose another state folder",
    errno.ENOSPC: f"free some space (`callboard prune` removes old runs), {_ELSEWHERE}",
    errno.EDQUOT: f"free some of your quota (`callboard prune` removes old runs), {_ELSEWHERE}",
    errno.ENOENT: f"create the folder it is to lie in, {_ELSEWHERE}",
    errno.ENAMETOOLONG: "choose a shorter path",
}


def open_state(path: Path) -> Path:
    """The state folder, absolute; made with mode 0700 and its own ``.gitignore`` where there is none.

    Raise `StateError` where it cannot be used. What was made on the way is gone then.
    """
    found = check_state(path)
    if found is None:
        _make(path.absolute())
        found = check_state(path)
    if found is None:
        raise StateError(f"{path}: the state folder was removed just after it was made; try again")
    if not _is_ours(found):
        raise StateError(f"{path}: this folder holds other things than runs; name one that is empty or not there yet")
    if not os.access(found, os.W_OK | os.X_OK, effective_ids=True):
        raise StateError(f"{path}: the state folder is not writable; {_ADVICE[errno.EACCES]}")
    _ignore_in_git(found)
    return found


def check_state(path: Path) -> Path | None:
    """The state folder, absolute, or None where there is none yet. Changes nothing; raise `StateError`."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise state_error(path, exc) from exc
    problem = _problem(path, found)
    if problem:
        raise StateError(f"{path}: {problem}")
    return path.absolute()


def state_error(path: Path, exc: OSError) -> StateError:
    """What the operating system refused, and what helps."""
    advice = _ADVICE.get(exc.errno or 0, "choose another state folder")
    return StateError(f"{path}: {exc.strerror or exc}; {advice}")


def _problem(path: Path, found: os.stat_result) -> str:
    me = os.geteuid()
    if stat.S_ISLNK(found.st_mode):
        return "the state folder is a symbolic link; name the folder it points to"
    if not stat.S_ISDIR(found.st_mode):
        return "the state folder is not a folder; move that file away, or choose another state folder"
    if found.st_uid != me:
        return f"the state folder belongs to user {found.st_uid}, not to you ({me}); choose another one"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"other users can write in the state folder; run: chmod go-w {path}"
    return ""


def _is_ours(path: Path) -> bool:
    """Nothing but runs lies in it: a project's folder must not be hidden from git, nor its folders be damaged runs."""
    try:
        names = {entry.name for entry in path.iterdir()}
    except OSError as exc:
        raise state_error(path, exc) from exc
    ours = StateFolder(path).names
    return ".git" not in names and all(is_run_name(name) or name.startswith(".") or name in ours for name in names)


def _make(path: Path) -> None:
    try:
        make_folder(path)
    except FileExistsError:
        return  # another callboard was faster
    except OSError as exc:
        raise state_error(path, exc) from exc
    try:
        _ignore_in_git(path)
    except StateError:
        with suppress(OSError):
            path.rmdir()
        raise


def _ignore_in_git(path: Path) -> None:
    if (path / ".gitignore").exists():
        return
    try:
        replace_file(path / ".gitignore", b"*\n")
    except OSError as exc:
        raise state_error(path, exc) from exc
