"""configs/pipeline.toml: a fan-out over what a task found out, a repaired output, a worktree, a plan made by a task."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from protocols.events import WorkerStarted
from tests.running import RunningPlan, resumed, running

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("protocols", "actors", "supervisor", "tests")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One like ours but smaller, in a repository of its own."""
    folder = tmp_path / "checkout"
    for name in ("protocols", "actors/sources", "supervisor/cli", "tests/chaos", "configs"):
        shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(_ROOT / ".venv")
    (folder / ".gitignore").write_text(".venv\n.callboard\n")
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message", "all of it")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    said = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    return subprocess.run(["git", *said, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def _check(run: RunningPlan) -> None:
    """All came to a good end, each item once, and the work is where it belongs."""
    statuses = {each.id: each.status for each in run.report.tasks}
    items = [f"count[{name}]" for name in _PACKAGES]
    told = [f"tell/{name}" for name in _PACKAGES]
    assert statuses == dict.fromkeys(("packages", "count", *items, "table", "plan", "tell", *told, "done"), "succeeded")
    assert run.spool("packages", stream="stdout", attempt=2).count(b'"modules"') == len(_PACKAGES)
    branch = f"callboard/{run.fleet.name}/table"
    assert len(_git(run.cwd, "log", "--format=%s", f"main..{branch}").splitlines()) == 1
    table = _git(run.cwd, "show", f"{branch}:PACKAGES.md")
    assert [line.split("|")[1].strip() for line in table.splitlines()[-4:]] == list(_PACKAGES)
    assert _git(run.cwd, "worktree", "list").count("\n") == 1
    assert run.spool("done").startswith(b"4 packages, told by run ")


def test_the_pipeline_makes_its_tasks_of_what_it_finds(checkout: Path) -> None:
    plan = (checkout / "configs/pipeline.toml").read_text()
    with running(checkout, plan) as run:
        run.finish()

        _check(run)
        first, second = run.task("packages").attempts
        assert (first.reason, second.reason) == ("output", "exit")
        assert b"is not of type 'integer'" in run.spool("packages", stream="stderr", attempt=2)


@pytest.mark.deadline(60)
@pytest.mark.parametrize("moment", ["packages", "count[tests]", "table", "plan", "tell"])
def test_the_pipeline_that_was_killed_goes_on_where_it_was(checkout: Path, moment: str) -> None:
    plan = (checkout / "configs/pipeline.toml").read_text()
    with running(checkout, plan) as run:
        run.wait_for(WorkerStarted, moment)
        run.signal(signal.SIGKILL)
        run.wait()
        with resumed(checkout) as again:
            again.finish()

            _check(again)
