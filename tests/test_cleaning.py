"""Workspaces that runs have left: told by doctor, kept by prune, removed by clean where nothing is lost."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from actors.space_files import read_record, write_record
from protocols.events import WorkerStarted
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from tests.detached import DURABLE, UNTIL_GO, go, kill
from tests.instances import instance, write_plan
from tests.repository import COMMIT, branches, make_repository, worktrees
from tests.running import callboard, resumed, running, task

TREE = {"kind": "worktree", "keep": "always"}


def leave(folder: Path, *plan: str) -> str:
    """A run with these tasks that has ended; its id."""
    with running(folder, *plan) as run:
        run.finish()
        return run.fleet.name


@pytest.mark.deadline(90)  # seven commands, one after the other
def test_what_a_run_has_left_is_told_by_doctor_kept_by_prune_and_removed_by_clean_once_it_is_told_to(
    tmp_path: Path,
) -> None:
    make_repository(tmp_path)
    commits = task("commits", f"echo x > code.txt; {COMMIT}", workspace=TREE)
    name = leave(tmp_path, task("same", "true", workspace=TREE), commits, task("fold", "touch x", workspace="folder"))

    assert (
        f"workspaces of {name}: commits, fold, same; see: callboard clean {name}"
        in callboard(tmp_path, "doctor").stdout
    )
    pruned = callboard(tmp_path, "prune", "--keep-runs", "0").stdout
    assert f"kept {name}: workspaces are left in it (commits, fold, same); see: callboard clean {name}" in pruned
    assert "3 workspaces to remove; to do it: callboard clean --yes" in callboard(tmp_path, "clean").stdout
    assert sorted(worktrees(tmp_path)) == ["commits", "same"]

    said = callboard(tmp_path, "clean", name, "--yes").stdout.splitlines()

    assert said == [
        f"removed worktree of commits in {name}; its commits are on the branch callboard/{name}/commits",
        f"removed folder of fold in {name}",
        f"removed worktree of same in {name}",
        "3 workspaces removed",
    ]
    assert (worktrees(tmp_path), branches(tmp_path)) == ([], [f"callboard/{name}/commits", "main"])
    assert callboard(tmp_path, "clean", "--yes").stdout == "0 workspaces removed\n"
    assert "1 run, " in callboard(tmp_path, "prune", "--keep-runs", "0").stdout


def test_changes_go_only_by_force_and_commits_on_no_branch_never(tmp_path: Path) -> None:
    make_repository(tmp_path)
    lost = task("lost", f"git checkout -q --detach; echo x > code.txt; {COMMIT}", workspace=TREE)
    name = leave(tmp_path, task("new", "touch new", workspace=TREE), lost)

    said = json.loads(callboard(tmp_path, "clean", "--yes", "--json").stdout)
    assert {each["task"]: each["kept"] for each in said["kept"]} == {
        "lost": "1 commit on no branch",
        "new": "changes that are not committed: new",
    }
    assert said["removed"] == []
    callboard(tmp_path, "clean", "--yes", "--force")

    assert worktrees(tmp_path) == ["lost"]
    assert branches(tmp_path) == [f"callboard/{name}/lost", "main"]


def test_a_living_run_and_one_that_can_be_resumed_keep_theirs(tmp_path: Path) -> None:
    make_repository(tmp_path)
    plan = task("a", f"cd {tmp_path}; {UNTIL_GO}", workspace="worktree")
    with running(tmp_path, plan, options=DURABLE) as run:
        run.wait_for(WorkerStarted, "a")
        assert "it is running: " in callboard(tmp_path, "clean", "--yes", "--force").stdout
        kill(run)
        assert "kept workspace of a in " in callboard(tmp_path, "clean", "--yes", "--force").stdout
        assert worktrees(tmp_path) == ["a"]
        go(run)
        with resumed(tmp_path) as again:
            again.finish()
    assert worktrees(tmp_path) == []


def test_a_worktree_that_somebody_has_removed_is_forgotten(tmp_path: Path) -> None:
    make_repository(tmp_path)
    name = leave(tmp_path, task("a", "true", workspace=TREE))
    shutil.rmtree(tmp_path / ".callboard" / name / "workspaces" / TaskId("a"))

    assert "1 workspace removed" in callboard(tmp_path, "clean", "--yes").stdout
    assert (worktrees(tmp_path), branches(tmp_path)) == ([], ["main"])


def test_a_run_that_was_moved_keeps_its_worktrees(tmp_path: Path) -> None:
    make_repository(tmp_path)
    leave(tmp_path, task("a", "true", workspace=TREE))
    (tmp_path / ".callboard").rename(tmp_path / "moved")

    assert "kept worktree of a" in callboard(tmp_path, "clean", "--yes", "--force", "--state", "moved").stdout
    assert worktrees(tmp_path) == ["a"]


def test_what_git_ignores_and_folders_that_nobody_may_write_go_with_it(tmp_path: Path) -> None:
    make_repository(tmp_path, **{".gitignore": "build\n.callboard\nplan.toml\nstd*\n"})
    leave(tmp_path, task("a", "mkdir -p build/x; touch build/x/y; chmod 500 build/x build", workspace=TREE))

    assert "1 workspace removed" in callboard(tmp_path, "clean", "--yes").stdout


def test_a_removal_that_was_killed_is_brought_to_its_end(tmp_path: Path) -> None:
    make_repository(tmp_path, a="", b="")
    name = leave(tmp_path, task("t", "true", workspace=TREE))
    folder = FleetFolder(tmp_path / ".callboard" / name)
    record = read_record(folder.space_record(TaskId("t")))
    assert record is not None
    write_record(folder.space_record(TaskId("t")), msgspec.structs.replace(record, state="removing"))
    (folder.workspace(TaskId("t")) / "a").unlink()

    assert "1 workspace removed" in callboard(tmp_path, "clean", "--yes").stdout
    assert (worktrees(tmp_path), branches(tmp_path)) == ([], ["main"])


def test_a_worktree_whose_link_to_git_is_gone_stays_though_a_repository_is_around_it(tmp_path: Path) -> None:
    make_repository(tmp_path, **{".gitignore": ".callboard\nplan.toml\nstd*\n"})
    name = leave(tmp_path, task("t", "rm .git; touch work", workspace=TREE))

    assert "kept worktree of t" in callboard(tmp_path, "clean", "--yes", "--force").stdout
    assert (tmp_path / ".callboard" / name / "workspaces" / "t" / "work").exists()


@pytest.mark.deadline(60)  # six commands, one after the other
def test_what_an_instance_has_left_is_not_lost_with_the_run_that_started_it(tmp_path: Path) -> None:
    make_repository(tmp_path)
    write_plan(tmp_path / "sub.toml", task("wt", "echo x > code.txt", workspace=TREE))
    (tmp_path / ".git/info/exclude").write_text("sub.toml\n")
    name = leave(tmp_path, instance("i", "sub.toml"))

    assert f"workspaces of {name}: i/wt; see: callboard clean {name}" in callboard(tmp_path, "doctor").stdout
    assert f"kept {name}: workspaces are left in it (i/wt)" in callboard(tmp_path, "prune", "--keep-runs", "0").stdout
    said = callboard(tmp_path, "clean", "--yes").stdout
    assert f"kept worktree of i/wt in {name}: changes that are not committed: code.txt: " in said

    assert f"removed worktree of i/wt in {name}" in callboard(tmp_path, "clean", "--force", "--yes").stdout
    assert worktrees(tmp_path) == []
