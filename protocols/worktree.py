"""What is asked of git to make a worktree, to look what would be lost with it, and to remove it.

Each of these is a generator that yields commands and gets their ends: whoever runs git drives it with `converse` or in
the same way. git tells in English under ``LC_ALL=C``, and paths come from ``-z`` as they are.
"""

from collections.abc import Callable, Collection, Generator, Mapping
from typing import NamedTuple, TypeAlias, TypeVar

from protocols.errors import WorkspaceError
from protocols.wording import escaped, quote
from protocols.workspace import SpaceRecord

__all__ = [
    "GitCall",
    "GitDone",
    "Talk",
    "add_worktree",
    "check_branch",
    "converse",
    "count_changes",
    "find_commit",
    "find_commits",
    "find_losses",
    "forget_worktree",
    "git_command",
    "git_environment",
]

T = TypeVar("T")

_QUICK = 60.0
_LONG = 600.0  # a checkout of a large repository
_SHOWN = 3
_LONGEST_WORDS = 300
_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null"),  # a hook may ask, wait or fail
    *("-c", "core.fsmonitor=false"),  # it would start a process that stays
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false"),
    *("-c", "core.quotePath=false"),
)
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")
_PASSED_OF_GIT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")
_SET = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_OPTIONAL_LOCKS": "0",
}


class GitCall(NamedTuple):
    """``patience``: seconds that it gets."""

    folder: str
    arguments: tuple[str, ...]
    patience: float = _QUICK


class GitDone(NamedTuple):
    """``code`` is None where it did not end by itself; ``problem`` tells why."""

    code: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    problem: str = ""


Talk: TypeAlias = Generator[GitCall, GitDone, T]


def git_command(program: str, call: GitCall) -> tuple[str, ...]:
    return (program, "-C", call.folder, *_OPTIONS, *call.arguments)


def git_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Of our own what it needs, and that it is to ask nobody. Nothing that says which repository is meant."""
    return {name: base[name] for name in (*_PASSED, *_PASSED_OF_GIT) if name in base} | _SET


def converse(talk: Talk[T], run: Callable[[GitCall], GitDone]) -> T:
    """Run what it asks for, to its end."""
    try:
        call = next(talk)
        while True:
            call = talk.send(run(call))
    except StopIteration as end:
        found: T = end.value
        return found


def find_commit(repository: str, name: str) -> Talk[str]:
    """The commit of this name. Raise WorkspaceError where there is no such repository or commit."""
    asked = yield GitCall(repository, ("rev-parse", "--git-dir"))
    if asked.code != 0:
        raise WorkspaceError(f"{quote(repository)} is no git repository that can be used: {_tell_failure(asked)}")
    found = yield GitCall(repository, ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"))
    if found.code != 0:
        what = "it has no commits yet; make one" if name == "HEAD" else "name a branch, a tag or a commit that is there"
        raise WorkspaceError(f"{quote(repository)} has no commit {quote(name)}; {what}")
    return found.stdout.decode().strip()


def count_changes(repository: str) -> Talk[int]:
    """Of files that git knows, in the repository itself; a bare one has none."""
    done = yield GitCall(repository, ("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames"))
    return done.stdout.count(b"\0") if done.code == 0 else 0


def _find_branch(repository: str, branch: str) -> Talk[tuple[str, str]]:
    """Its commit and where it is checked out; both empty where there is none."""
    place = f"refs/heads/{branch}"
    done = yield GitCall(repository, ("for-each-ref", "--format=%(objectname) %(worktreepath)", place))
    if done.code != 0:
        raise WorkspaceError(f"git cannot tell its branches: {_tell_failure(done)}")
    commit, _, path = done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n").partition(" ")
    return commit, path


def check_branch(repository: str, branch: str, *, own: bool = False) -> Talk[str]:
    """The commit of a branch of this name that is there already, if it is ``own``; empty where there is none.

    Raise WorkspaceError where it is somebody else's.
    """
    commit, _ = yield from _find_branch(repository, branch)
    if commit and not own:
        advice = "write {run} into its name, or remove that one"
        raise WorkspaceError(f"branch {quote(branch)} is there already; {advice}")
    return commit


def add_worktree(record: SpaceRecord) -> Talk[None]:
    """Make the worktree of a record that has its ``base``, and its branch where that was not found."""
    new = ("--no-track", "-b", record.branch, record.path, record.base)
    arguments = ("worktree", "add", "--quiet", *((record.path, record.branch) if record.found else new))
    done = yield GitCall(record.repository, arguments, _LONG)
    if done.code != 0:
        raise WorkspaceError(f"git cannot make it: {_tell_failure(done)}")


def forget_worktree(record: SpaceRecord) -> Talk[str]:
    """Of a worktree whose folder is gone: let git know, and delete its branch where that has no commits and nobody
    else has it. Return the branch where it stays."""
    done = yield GitCall(record.repository, ("worktree", "remove", "--force", "--force", record.path))
    if done.code != 0:  # it does not know it, or half of it
        yield GitCall(record.repository, ("worktree", "prune"))
    commit, elsewhere = yield from _find_branch(record.repository, record.branch)
    if not commit:
        return ""
    if record.found or commit != record.base or elsewhere:
        return record.branch
    done = yield GitCall(record.repository, ("update-ref", "-d", f"refs/heads/{record.branch}", commit))
    return "" if done.code == 0 else record.branch


def find_losses(record: SpaceRecord, given: Collection[str]) -> Talk[str]:
    """What would be lost if the worktree went; empty where nothing would.

    ``given``: the files in it that are still as callboard has put them there. What git ignores does not count.
    """
    changes = yield from _find_changes(record, given)
    return changes or (yield from find_commits(record))


def find_commits(record: SpaceRecord) -> Talk[str]:
    """Those of a worktree that would be lost with it; empty where there are none."""
    done = yield _call_in(record, "rev-list", "--count", "HEAD", "--not", "--branches", "--tags", "--remotes")
    if done.code != 0:
        return f"git cannot tell its commits: {_tell_failure(done)}"
    count = int(done.stdout)
    return f"{count} commit{'' if count == 1 else 's'} on no branch" if count else ""


def _find_changes(record: SpaceRecord, given: Collection[str]) -> Talk[str]:
    done = yield _call_in(record, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    if done.code != 0:
        return f"git cannot tell its changes: {_tell_failure(done)}"
    changed = [name for line in done.stdout.split(b"\0") if (name := line[3:].decode("utf-8", "replace"))]
    changed = [name for name in changed if name not in given]
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    names = ", ".join(escaped(name) for name in changed[:_SHOWN])
    return f"changes that are not committed: {names}{more}" if changed else ""


def _call_in(record: SpaceRecord, *arguments: str) -> GitCall:
    """In the worktree, and never in a repository around it."""
    return GitCall(record.path, (f"--git-dir={record.path}/.git", f"--work-tree={record.path}", *arguments))


def _tell_failure(done: GitDone) -> str:
    """In one line."""
    lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    said = said.removeprefix("fatal:").removeprefix("error:").strip()
    return done.problem or escaped(said[:_LONGEST_WORDS]) or f"it ended with code {done.code}"
