"""The files of a workspace: put there from a plan, compared with what was put there, and removed as a whole."""

import hashlib
import os
import shutil
import stat
from pathlib import Path

import msgspec

from actors.files import replace_file
from protocols.errors import WorkspaceError
from protocols.plan import Task
from protocols.wording import quote
from protocols.workspace import GivenFile, SpaceRecord

__all__ = ["free_locks", "put_files", "read_record", "remove_tree", "unchanged_files", "write_record"]

_AGENT_MD = "AGENT.md"
_decoder = msgspec.json.Decoder(SpaceRecord)


def write_record(path: Path, record: SpaceRecord) -> None:
    """It is on the disk when this returns. Raise `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, msgspec.json.encode(record), sync=True)


def read_record(path: Path) -> SpaceRecord | None:
    """None where there is none. Raise WorkspaceError where nobody understands it."""
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{path}: cannot be understood: {error}") from error


def put_files(root: Path, task: Task, agent_md: str) -> dict[str, str]:
    """Return the SHA-256 of each. Raise WorkspaceError with what could not be put there."""
    put = {file.path: _put(root, file) for file in task.workspace.files}
    if agent_md:
        if (root / _AGENT_MD).exists():
            raise WorkspaceError(f"agent_md: the repository has an {_AGENT_MD} of its own; remove agent_md")
        put[_AGENT_MD] = _put(root, GivenFile(_AGENT_MD, "text", agent_md))
    return put


def _put(root: Path, file: GivenFile) -> str:
    place = root / file.path
    try:
        data = Path(file.text).read_bytes() if file.kind == "copy" else file.text.encode()
        mode = stat.S_IMODE(Path(file.text).stat().st_mode) if file.kind == "copy" else None
    except OSError as error:
        raise WorkspaceError(f"files: {quote(file.text)} cannot be copied: {_why(error)}") from error
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.parent.resolve().is_relative_to(root.resolve()) or place.is_symlink():
            raise WorkspaceError(f"files: {quote(file.path)} would be outside of the workspace, by a link in it")
        place.write_bytes(data)
        if mode is not None:
            place.chmod(mode | stat.S_IWUSR)
    except OSError as error:
        raise WorkspaceError(f"files: {quote(file.path)} cannot be written: {_why(error)}") from error
    return hashlib.sha256(data).hexdigest()


def unchanged_files(record: SpaceRecord) -> frozenset[str]:
    """Those that are still as they were put there."""
    return frozenset(path for path, sha256 in record.files.items() if _hash(Path(record.path) / path) == sha256)


def _hash(path: Path) -> str:
    try:
        return "" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def remove_tree(path: Path) -> None:
    """With folders in it that nobody may write. A link is removed, not what it leads to. Raise `OSError`."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        if path.exists():
            raise
    except PermissionError:
        for folder, _, _ in os.walk(path, onerror=None):
            os.chmod(folder, 0o700)  # noqa: PTH101 - as os.walk gives it
        shutil.rmtree(path)


def free_locks(record: SpaceRecord) -> tuple[str, ...]:
    """Remove what a git that was killed in this worktree has left, and return it. Nobody works there now."""
    try:
        said = (Path(record.path) / ".git").read_text()
        folder = Path(record.path, said.removeprefix("gitdir:").strip())
        common = folder / (folder / "commondir").read_text().strip()
    except (OSError, ValueError):  # git itself will say what is wrong with it
        return ()
    places = [folder / "index.lock", folder / "HEAD.lock", common / "refs" / "heads" / f"{record.branch}.lock"]
    freed = []
    for place in places:
        if place.is_file():
            place.unlink()
            freed.append(str(place))
    return tuple(freed)


def _why(error: OSError) -> str:
    return (error.strerror or "it fails").lower()
