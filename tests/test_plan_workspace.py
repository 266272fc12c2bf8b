"""What a plan says of workspaces, and which of them do not go together."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.plan import Plan
from protocols.plan_parser import parse_plan
from protocols.plan_workspace import branch_name, is_inside
from protocols.workspace import GivenFile, Workspace
from tests.any_text import any_text
from tests.running import table, task


def parse(*parts: str) -> Plan:
    return parse_plan("\n".join(parts), "p")


def spaces(*parts: str) -> dict[str, Workspace]:
    return {task.id: task.workspace for task in parse(*parts).tasks}


def problems(*parts: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse(*parts)
    return str(caught.value).splitlines()


def test_a_task_says_it_over_its_role_and_the_defaults_as_a_whole() -> None:
    found = spaces(
        table("[defaults]", {"workspace": "worktree"}),
        table("[roles.r]", {"workspace": {"kind": "folder", "keep": "never"}}),
        task("a", "x"),
        task("b", "x", role="r"),
        task("c", "x", workspace="shared"),
        task("d", "x", workspace={"kind": "worktree", "base": "main", "files": {"f": {"text": ""}}}),
    )

    assert found == {
        "a": Workspace(kind="worktree", keep="on-failure"),
        "b": Workspace(kind="folder", keep="never"),
        "c": Workspace(),
        "d": Workspace(kind="worktree", keep="on-failure", base="main", files=(GivenFile("f", "text", ""),)),
    }


def test_a_task_that_starts_nothing_has_none_of_the_defaults() -> None:
    follows = task("a", [], source="logfile", logfile={"path": "x"}).replace("command = []\n", "")

    assert spaces(table("[defaults]", {"workspace": "folder"}), follows) == {"a": Workspace()}


def test_a_task_that_works_in_that_of_another_has_its_kind() -> None:
    found = spaces(
        task("a", "x", workspace="worktree"),
        task("b", "x", needs=["a"]),
        task("c", "x", needs=["b"], workspace={"shared_with": "a"}),
        task("d", "x", needs=["c"], workspace={"shared_with": "a"}),
        task("e", "x", needs=["c"], workspace={"shared_with": "a", "share": True}),
    )

    assert found["c"] == Workspace(kind="worktree", shared_with=TaskId("a"))
    assert found["c"].owner(TaskId("c")) == "a"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("fodler", 'workspace: "fodler" is none; did you mean "folder"?'),
        (5, "workspace: write "),
        ({"keep": "never"}, 'workspace.kind: missing; write "folder" or "worktree", or name a task in shared_with'),
        ({"kind": "tree"}, 'workspace.kind: "tree" is no kind of workspace; did you mean "worktree"?'),
        ({"kind": "folder", "base": "x"}, 'workspace.base: kind is "folder", which has none; remove this key'),
        ({"kind": "shared", "keep": "never"}, 'workspace.keep: kind is "shared", which has none; remove this key'),
        ({"kind": "folder", "keep": "ever"}, 'workspace.keep: "ever" is no time to keep it; did you mean "never"?'),
        ({"kind": "worktree", "branch": "a b"}, 'workspace.branch: "a b" is no name that git takes; write one such as'),
        ({"kind": "worktree", "branch": "{id}"}, 'workspace.branch: "{id}": only {run} and {task} can stand in braces'),
        ({"kind": "worktree", "base": "{x}"}, 'workspace.base: "{x}": only {run} and {task} can stand in braces'),
        ({"kind": "worktree", "base": "-x"}, 'workspace.base: "-x" is no commit; name a branch, a tag or a commit'),
        ({"kind": "folder", "files": {"../x": {"text": ""}}}, "outside of the workspace, or of git; write a relative"),
        ({"kind": "folder", "files": {"/x": {"text": ""}}}, "outside of the workspace, or of git; write a relative"),
        (
            {"kind": "folder", "files": {".git/x": {"text": ""}}},
            "outside of the workspace, or of git; write a relative",
        ),
        ({"kind": "folder", "files": {"x": "y"}}, "workspace.files.x: write { copy = "),
        ({"kind": "folder", "files": {"x": {"text": "", "copy": "y"}}}, "workspace.files.x: write { copy = "),
        ({"kind": "folder", "agent_md": True, "files": {"AGENT.md": {"text": ""}}}, "agent_md makes a file of this"),
        ({"kind": "folder", "agents_md": True}, 'workspace.agents_md: no such key; did you mean "agent_md"?'),
        ({"shared_with": "b"}, 'workspace: shared_with: no other task "b"'),
        ({"shared_with": "a"}, 'workspace: shared_with: no other task "a"'),
        ({"shared_with": "z"}, 'workspace: shared_with: "z" has no workspace of its own; give it one'),
        ({"shared_with": "z", "keep": "never"}, "with shared_with it is all as that task says; remove this key"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(said: object, problem: str) -> None:
    line, *_ = problems(task("a", "x", needs=["z"], workspace=said), task("z", "x"))

    assert line.startswith("p: tasks[0].workspace")
    assert problem in line


def test_a_task_cannot_leave_its_workspace_by_cwd() -> None:
    (line,) = problems(task("a", "x", cwd="/tmp", workspace="folder"))

    assert line == ('p: tasks[0].cwd: "/tmp": outside of its workspace; write a path in it, or workspace = "shared"')


def test_two_that_may_work_in_one_workspace_at_the_same_time_are_refused_unless_they_are_told_to_share() -> None:
    plan = (
        task("a", "x", workspace="folder"),
        task("b", "x", needs=["a"], workspace={"shared_with": "a"}),
        task("c", "x", needs=["a"], workspace={"shared_with": "a"}),
    )
    told = '"b" may work there at the same time; let one need the other, or write share = true'
    unready = '"a" may not have one by then; add it to needs'

    assert problems(*plan) == [f"p: tasks[2].workspace: {told}"]
    assert f"p: tasks[1].workspace: shared_with: {unready}" in problems(plan[0], plan[1].replace('["a"]', "[]"))
    parse(*plan[:2], task("c", "x", needs=["a"], workspace={"shared_with": "a", "share": True}))


def test_the_many_tasks_of_for_each_do_not_share_what_only_one_can_have() -> None:
    source = task("s", "x", workspace="folder", output={"stdout_json": True})
    each = {"from": "s"}
    many = task("m", "x", needs=["s"], for_each=each, workspace={"shared_with": "s"})
    branch = task("b", "x", needs=["s"], for_each=each, workspace={"kind": "worktree", "branch": "x-{run}"})
    after = task("a", "x", needs=["w"], workspace={"shared_with": "w"})
    fine = task("w", "x", needs=["s"], for_each=each, workspace="worktree")

    lines = problems(source, many, branch, fine, after)
    told = [line.partition(".workspace: ")[2] for line in lines if ".workspace: " in line]

    assert told == [
        "the tasks of for_each may work there at the same time; write share = true",
        "the tasks of for_each cannot have one branch; write {task} into its name",
        'shared_with: "w" has for_each, so there are as many workspaces as items; name another task',
    ]


def test_two_worktrees_cannot_have_one_branch() -> None:
    tree = {"kind": "worktree", "branch": "x"}
    (line,) = problems(task("a", "x", workspace=tree), task("b", "x", workspace=tree))

    assert line.startswith('p: tasks[1].workspace: its branch is that of "a" too; write {task} into its name')


@given(any_text)
def test_a_branch_of_any_task_is_a_name_that_git_takes(name: str) -> None:
    made = branch_name("callboard/{run}/{task}", "abcdefgh", name or "x")

    assert re.fullmatch(r"callboard/abcdefgh/[A-Za-z0-9._-]+", made)
    assert ".." not in made and not made.endswith((".lock", "."))


def test_no_two_tasks_have_one_branch() -> None:
    names = [branch_name("{task}", "", name) for name in ("a[x]", "a[%2F]", "a[-2F]", "a-x-", "a..b", "a-b", "ab")]

    assert len({*names}) == len(names)
    assert names[-1] == "ab"


@given(st.lists(st.sampled_from(["..", ".", "a", "", "b..c"]), min_size=1).map("/".join))
def test_a_path_that_stays_inside_never_leaves_by_its_parts(path: str) -> None:
    depth = 0
    for part in path.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        assert depth >= 0 or not is_inside(path)
    assert not (path.startswith("/") and is_inside(path))
