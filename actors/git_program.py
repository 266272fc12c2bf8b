"""Runs git where there is no keeper: to look at a repository before a run, and to clean up behind old ones."""

import contextlib
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from typing import IO

from protocols.errors import WorkspaceError
from protocols.worktree import GitCall, GitDone, git_command, git_environment

__all__ = ["find_git"]

_LONGEST = 4 * 1024 * 1024  # of what it prints: enough to know that there is something
_GRACE = 1.0  # for git to take its locks away


def find_git(environ: Mapping[str, str]) -> Callable[[GitCall], GitDone]:
    """What runs one command to its end, or for as long as it may take. Raise WorkspaceError where there is none."""
    program = shutil.which("git", path=environ.get("PATH", os.defpath))
    if program is None:
        raise WorkspaceError("git is not on PATH; install it")
    env = git_environment(environ)

    def run(call: GitCall) -> GitDone:
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            code = _run(git_command(program, call), env, (stdout, stderr), call.patience)
            problem = "" if code is not None else f"git did not end within {call.patience:g} s"
            return GitDone(code, _read(stdout), _read(stderr), problem)

    return run


def _run(
    command: tuple[str, ...], env: Mapping[str, str], files: tuple[IO[bytes], IO[bytes]], patience: float
) -> int | None:
    actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        *((os.POSIX_SPAWN_DUP2, file.fileno(), number) for number, file in enumerate(files, 1)),
    ]
    defaults = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    pid = os.posix_spawn(command[0], command, env, file_actions=actions, setsid=True, setsigmask=[], setsigdef=defaults)
    pidfd = os.pidfd_open(pid)
    try:
        if not _has_ended(pidfd, patience):
            os.killpg(pid, signal.SIGTERM)
            _has_ended(pidfd, _GRACE)
            return None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.killpg(pid, signal.SIGKILL)  # filters of a repository too
            os.waitpid(pid, 0)
        os.close(pidfd)


def _has_ended(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_LONGEST)
