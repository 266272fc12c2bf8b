"""A git repository for tests, as somebody has it who works in it."""

import os
import subprocess
from pathlib import Path

from protocols.workspace import SpaceEvent, WorkspaceKept
from tests.running import RunningPlan

__all__ = ["COMMIT", "SLOW", "branches", "git", "kept", "make_repository", "make_slow", "worktrees"]

_AS_SOMEBODY = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
COMMIT = "git add -A && git -c user.name=a -c user.email=a@b commit -qm more"
"""In a shell of a worker."""
SLOW = "touch {folder}/reached; until [ -e {folder}/go ]; do sleep 0.01; done; cat"


def git(folder: Path, *arguments: str) -> str:
    """Run it, and fail if it does."""
    done = subprocess.run(
        ["git", *_AS_SOMEBODY, *arguments], cwd=folder, capture_output=True, text=True, check=False, env=_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def make_repository(folder: Path, **files: str) -> Path:
    """With one commit of these files, and ``.gitignore`` for what tests put beside them."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    for name, text in {"code.txt": "code\n", **files}.items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def make_slow(repository: Path) -> None:
    """Whoever checks it out waits: ``reached`` tells that he is there, ``go`` lets him go on."""
    (repository / ".gitattributes").write_text("*.txt filter=slow\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "slow")
    git(repository, "config", "filter.slow.smudge", SLOW.format(folder=repository))


def branches(repository: Path) -> list[str]:
    return git(repository, "branch", "--format=%(refname:short)").split()


def worktrees(repository: Path) -> list[str]:
    """The names of those that git knows beside the repository itself."""
    lines = git(repository, "worktree", "list", "--porcelain").splitlines()
    return [Path(line.partition(" ")[2]).name for line in lines if line.startswith("worktree ")][1:]


def kept(run: RunningPlan) -> dict[str, str]:
    """Why the workspaces stay that do."""
    events = run.events(SpaceEvent)
    return {event.task: event.reason for event in events if isinstance(event, WorkspaceKept)}
