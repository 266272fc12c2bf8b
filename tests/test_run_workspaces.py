"""Tasks with a folder or a git worktree of their own, from the command line, on real repositories."""

import os
import signal
from pathlib import Path

import pytest

from actors.keeper_process.marks import find_marked
from protocols.events import AttemptStarting, TaskStatusChanged
from protocols.ids import TaskId
from protocols.workspace import WorkspaceMade, WorkspaceRemoved
from tests.detached import DURABLE, kill
from tests.process_trees import wait_until
from tests.repository import COMMIT, branches, git, kept, make_repository, make_slow, worktrees
from tests.running import RunningPlan, callboard, resumed, running, task


def space(run: RunningPlan, name: str) -> Path:
    return run.folder.workspace(TaskId(name))


def command_line(pid: int) -> bytes:
    """Empty of one that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_a_task_works_in_a_folder_with_the_files_that_the_plan_puts_there(tmp_path: Path) -> None:
    (tmp_path / "tool.sh").write_text("#!/bin/sh\necho tool\n")
    (tmp_path / "tool.sh").chmod(0o755)
    (tmp_path / "note.j2").write_text("{{ outputs.plan.title }} in {{ workspace }}")
    files = {
        "bin/tool.sh": {"copy": "tool.sh"},
        "plain.txt": {"text": "{{ .Names }} {{ tasks }}|"},
        "note.txt": {"template": "note.j2"},
    }
    plan = (
        task("plan", ["echo", '{"title": "x"}'], output={"stdout_json": True}),
        task(
            "work",
            'pwd; bin/tool.sh; cat plain.txt note.txt; echo; cat AGENT.md; echo "{\\"n\\": 1}" > out.json; echo $W',
            needs=["plan"],
            env={"W": "{{ workspace }}"},
            output={"file": "out.json"},
            workspace={"kind": "folder", "files": files, "agent_md": True},
        ),
        task("use", ["echo", "{{ outputs.work.n }}"], needs=["work"]),
        task("tool", ["./bin/tool.sh"], needs=["work"], workspace={"shared_with": "work"}),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        root = space(run, "work")
        said = run.spool("work").decode()
        assert said.startswith(f"{root}\ntool\n{{{{ .Names }}}} {{{{ tasks }}}}|x in {root}\n# work\n")
        assert said.endswith(f"{root}\n")
        assert (run.spool("use"), run.spool("tool")) == (b"1\n", b"tool\n")
        (made,) = run.events(WorkspaceMade)
        assert (made.task, made.path, made.files) == (
            "work",
            str(root),
            ("bin/tool.sh", "plain.txt", "note.txt", "AGENT.md"),
        )
        assert root.stat().st_mode & 0o777 == 0o700
        assert kept(run) == {"work": 'keep is "always"'}


def test_a_worktree_is_removed_where_nothing_is_lost_with_it_and_its_commits_stay_on_its_branch(tmp_path: Path) -> None:
    make_repository(tmp_path)
    tree = {"workspace": "worktree"}
    plan = (
        task("same", "git rev-parse --abbrev-ref HEAD; cat code.txt", **tree),
        task("commits", f"echo more > code.txt; {COMMIT}", **tree),
        task("changes", "echo more > code.txt", **tree),
        task("new", "echo more > new.txt", **tree),
        task("lost", f"git checkout -q --detach; echo lost > code.txt; {COMMIT}", **tree),
        task("fails", "exit 1", allow_failure=True, **tree),
        task("never", "exit 1", allow_failure=True, workspace={"kind": "worktree", "keep": "never"}),
        task("always", "true", workspace={"kind": "worktree", "keep": "always"}),
        task("given", "true", workspace={"kind": "worktree", "agent_md": True, "files": {"code.txt": {"text": "x"}}}),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        name = run.fleet.name
        assert run.spool("same") == f"callboard/{name}/same\ncode\n".encode()
        assert kept(run) == {
            "changes": "changes that are not committed: code.txt",
            "new": "changes that are not committed: new.txt",
            "lost": "1 commit on no branch",
            "fails": "who worked there did not end well",
            "always": 'keep is "always"',
        }
        removed = {event.task: event.branch for event in run.events(WorkspaceRemoved)}
        assert removed == {"same": "", "commits": f"callboard/{name}/commits", "never": "", "given": ""}
        assert sorted(worktrees(tmp_path)) == ["always", "changes", "fails", "lost", "new"]
        stay = ("always", "changes", "commits", "fails", "lost", "new")
        assert branches(tmp_path) == [*(f"callboard/{name}/{task}" for task in stay), "main"]
        assert git(tmp_path, "show", f"callboard/{name}/commits:code.txt") == "more\n"


def test_a_retry_finds_what_the_attempt_before_left_and_a_lock_of_a_killed_git_is_taken_away(tmp_path: Path) -> None:
    make_repository(tmp_path)
    command = f"""
        echo {{{{ attempt }}}} >> code.txt
        if [ {{{{ attempt }}}} = 1 ]; then touch "$(git rev-parse --git-dir)/index.lock"; exit 1; fi
        {COMMIT}
    """
    with running(tmp_path, task("a", command, retries=1, backoff="0s", workspace="worktree")) as run:
        run.finish()

        assert len(run.events(WorkspaceMade)) == 1
        assert git(tmp_path, "show", f"callboard/{run.fleet.name}/a:code.txt") == "code\n1\n2\n"


def test_a_worktree_can_begin_where_another_task_has_committed(tmp_path: Path) -> None:
    make_repository(tmp_path)
    plan = (
        task("one", f"echo one >> code.txt; {COMMIT}", workspace="worktree"),
        task(
            "two",
            "cat code.txt",
            needs=["one"],
            workspace={"kind": "worktree", "base": "callboard/{run}/one", "branch": "two-{run}"},
        ),
        task("sub", "pwd", cwd="folder", workspace={"kind": "folder", "files": {"folder/x": {"text": ""}}}),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.spool("two") == b"code\none\n"
        assert run.spool("sub").decode() == f"{space(run, 'sub')}/folder\n"


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ({"kind": "worktree", "repository": "none"}, "is no git repository that can be used: cannot change to"),
        ({"kind": "worktree", "repository": "plain"}, "is no git repository that can be used: not a git repository"),
        ({"kind": "worktree", "repository": "empty"}, 'has no commit "HEAD"; it has no commits yet; make one'),
        ({"kind": "worktree", "repository": "repo", "base": "nome"}, 'has no commit "nome"; name a branch, a tag'),
        ({"kind": "worktree", "repository": "repo", "branch": "main"}, 'branch "main" is there already; write {run}'),
        ({"kind": "worktree", "repository": "dirty"}, "has 1 change that is not committed, and a worktree would begin"),
        ({"kind": "folder", "files": {"x": {"copy": "none"}}}, "files.x.copy: "),
        ({"kind": "folder", "files": {"x": {"template": "none"}}}, "files.x.template: "),
        ({"kind": "folder", "files": {"x": {"text": "{{ outputs.a }}"}}}, "outputs.a is its own"),
    ],
)
def test_what_a_workspace_needs_and_is_not_there_is_told_before_anything_starts(
    tmp_path: Path, where: dict[str, object], problem: str
) -> None:
    make_repository(tmp_path / "repo")
    (make_repository(tmp_path / "dirty") / "code.txt").write_text("changed")
    (tmp_path / "plain").mkdir()
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    (tmp_path / "plan.toml").write_text(task("a", "true", workspace=where))

    done = callboard(tmp_path, "check", "plan.toml", code=2)

    assert "error: plan.toml: tasks[0].workspace" in done.stderr
    assert problem in done.stderr


def test_without_git_there_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(task("a", ["/bin/true"], workspace="worktree"))

    done = callboard(tmp_path, "check", "plan.toml", code=2, before=("/usr/bin/env", "PATH=/none"))

    assert done.stderr == "error: plan.toml: tasks[0].workspace: git is not on PATH; install it\n"


def test_changes_that_are_not_committed_can_be_left_behind_which_is_told(tmp_path: Path) -> None:
    make_repository(tmp_path)
    (tmp_path / "code.txt").write_text("changed")
    plan = task("a", ["cat", "code.txt"], workspace={"kind": "worktree", "allow_dirty": True})
    with running(tmp_path, plan) as run:
        run.finish()

        assert run.spool("a") == b"code\n"
        assert run.events(WorkspaceMade)[0].uncommitted == 1
        assert b"without 1 changes that are not committed" in run.stdout


def test_a_worktree_that_cannot_be_made_fails_the_attempt_with_the_reason(tmp_path: Path) -> None:
    make_repository(tmp_path)
    plan = (
        task("first", ["true"]),
        task("a", "true", needs=["first"], workspace={"kind": "worktree", "base": "{run}-{task}"}),
    )
    with running(tmp_path, *plan) as run:
        run.finish(1)

        why = f'has no commit "{run.fleet.name}-a"; name a branch, a tag or a commit that is there'
        assert run.task("a").reason == f'not started: workspace: "{tmp_path}" {why}'
        assert worktrees(tmp_path) == []


def test_the_hooks_of_a_repository_are_not_run(tmp_path: Path) -> None:
    make_repository(tmp_path)
    hook = tmp_path / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\nexec sleep 1000\n")
    hook.chmod(0o755)
    with running(tmp_path, task("a", ["ls"], workspace="worktree")) as run:
        run.finish()

        assert run.spool("a") == b"code.txt\n"


def test_a_stop_does_not_wait_for_a_git_that_hangs(tmp_path: Path) -> None:
    make_slow(make_repository(tmp_path))
    with running(tmp_path, task("a", "true", workspace="worktree")) as run:
        wait_until((tmp_path / "reached").exists)
        run.signal(signal.SIGINT)
        run.finish(130)

        assert run.task("a").status == "stopped"
        assert worktrees(tmp_path) == []
        assert branches(tmp_path) == ["main"]


def test_a_git_that_is_killed_fails_the_attempt_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    make_slow(make_repository(tmp_path))
    with running(tmp_path, task("a", "cat code.txt", retries=1, backoff="0s", workspace="worktree")) as run:
        wait_until((tmp_path / "reached").exists)
        for process in run.marked():
            if b"worktree\0add" in command_line(process.pid):
                os.kill(process.pid, signal.SIGKILL)
        run.wait_for(TaskStatusChanged, "a", 2)
        (tmp_path / "go").touch()
        run.finish()

        reasons = [event.reason for event in run.events(TaskStatusChanged, "a") if event.status == "retrying"]
        assert reasons == ["not started: workspace: git cannot make it: git was ended (SIGKILL)"]
        assert run.spool("a", 2) == b"code\n"
        assert worktrees(tmp_path) == []


def test_a_callboard_that_is_killed_while_git_makes_a_worktree_leaves_nothing_that_resume_does_not_mend(
    tmp_path: Path,
) -> None:
    make_slow(make_repository(tmp_path))
    with running(tmp_path, task("a", "cat code.txt; echo x > new", workspace="worktree"), options=DURABLE) as run:
        wait_until((tmp_path / "reached").exists)
        kill(run)
        identity = run.fleet.identity
        assert identity is not None
        wait_until(lambda: not find_marked(identity.fleet) and not run.fleet.keeper_lives())
        (tmp_path / "go").touch()
        with resumed(tmp_path) as again:
            again.finish()

            assert len(again.events(WorkspaceMade)) == 1
            assert again.events(AttemptStarting, "a")[-1].cwd == str(space(again, "a"))
            assert kept(again) == {"a": "changes that are not committed: new"}
            assert worktrees(tmp_path) == ["a"]


def test_a_worker_goes_on_in_its_worktree_when_callboard_is_killed_and_its_next_attempt_too(tmp_path: Path) -> None:
    make_repository(tmp_path)
    command = f"""
        echo {{{{ attempt }}}} >> code.txt
        until [ -e {tmp_path}/go ]; do sleep 0.01; done
        [ {{{{ attempt }}}} = 2 ]
    """
    with running(tmp_path, task("a", command, retries=1, backoff="0s", workspace="worktree"), options=DURABLE) as run:
        run.wait_for(WorkspaceMade)
        run.wait_until(lambda: (space(run, "a") / "code.txt").read_text() == "code\n1\n")
        kill(run)
        with resumed(tmp_path) as again:
            (tmp_path / "go").touch()
            again.finish()

            assert (space(again, "a") / "code.txt").read_text() == "code\n1\n2\n"
            assert len(again.events(WorkspaceMade)) == 1
            assert kept(again) == {"a": "changes that are not committed: code.txt"}


def test_check_makes_nothing(tmp_path: Path) -> None:
    make_repository(tmp_path)
    (tmp_path / "plan.toml").write_text(task("a", "true", workspace="worktree"))

    callboard(tmp_path, "check", "plan.toml")

    assert (worktrees(tmp_path), branches(tmp_path)) == ([], ["main"])


@pytest.mark.parametrize("branch", ["callboard/{run}/{task}", "feature/x"])
@pytest.mark.deadline(60)  # two runs
def test_a_task_that_is_run_again_goes_on_on_its_branch(tmp_path: Path, branch: str) -> None:
    make_repository(tmp_path)
    space = {"kind": "worktree", "branch": branch}
    plan = task("a", f"cat code.txt; echo more >> code.txt; {COMMIT}", workspace=space)
    with running(tmp_path, plan) as run:
        run.finish()
        callboard(tmp_path, "retry", run.fleet.name, "--from", "a")

        assert run.spool("a", 2) == b"code\nmore\n"
        branch = branch.replace("{run}", run.fleet.name).replace("{task}", "a")
        assert git(tmp_path, "show", f"{branch}:code.txt") == "code\nmore\nmore\n"
        assert (worktrees(tmp_path), branches(tmp_path)) == ([], sorted([branch, "main"]))


def test_who_works_in_a_workspace_that_is_gone_is_not_run_again_without_it(tmp_path: Path) -> None:
    make_repository(tmp_path)
    user = task("b", "true", needs=["a"], workspace={"shared_with": "a"})
    with running(tmp_path, task("a", "true", workspace="worktree"), user) as run:
        run.finish()

        said = callboard(tmp_path, "retry", "--from", "b", code=2).stderr
        assert '"b" works in the workspace of "a", which is gone; begin with --from a' in said
        callboard(tmp_path, "retry", "--from", "a")
