"""Plans on disk, and what they name: commands, folders and files, all of it looked up before a run starts."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.plan import Logfile, Stdin
from supervisor.plans import load_plan
from tests.users import as_nobody

A, B = TaskId("a"), TaskId("b")
BASE = {"PATH": "/usr/bin:/bin"}
THERE = "it must be there before the run starts"


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def executable(folder: Path, task: str, base: dict[str, str] | None = None) -> str:
    """What the task ``a`` that says this runs."""
    (folder / "x.toml").write_text(f'[[tasks]]\nid = "a"\n{task}')
    return load_plan(Path("x.toml"), folder, base=BASE if base is None else base).executables[A]


def problems(folder: Path, text: str | None) -> list[str]:
    """What is wrong with ``x.toml`` in this folder, with a new text or with the one that it has."""
    if text is not None:
        (folder / "x.toml").write_text(text)
    with pytest.raises(PlanError) as caught:
        load_plan(Path("x.toml"), folder, base=BASE)
    assert all(line.startswith("x.toml: ") for line in caught.value.problems)
    return [line.removeprefix("x.toml: ") for line in caught.value.problems]


def test_relative_paths_count_from_where_callboard_was_started_not_from_the_plan(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "in.txt").touch()
    (tmp_path / "plans").mkdir()
    source = b"""[[tasks]]
        id = "a"
        command = ["sh", "x"]
        cwd = "src"
        stdin = { file = "in.txt" }
        progress_file = "TODO.md"
    """
    (tmp_path / "plans" / "x.toml").write_bytes(source)

    loaded = load_plan(Path("plans/x.toml"), tmp_path, base=BASE, grace=1.5)

    (task,) = loaded.plan.tasks
    assert (task.cwd, task.stdin) == (str(tmp_path / "src"), Stdin("file", str(tmp_path / "in.txt")))
    assert task.progress_file == str(tmp_path / "TODO.md")
    assert (task.command, task.grace) == (("sh", "x"), 1.5)
    assert loaded.executables == {A: "/usr/bin/sh" if Path("/usr/bin/sh").exists() else "/bin/sh"}
    assert loaded.source == source


def test_a_text_for_stdin_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('tasks = [{ id = "a", command = ["cat"], stdin = { text = "in.txt" } }]')

    assert load_plan(Path("x.toml"), tmp_path, base=BASE).plan.tasks[0].stdin == Stdin("text", "in.txt")


def test_a_name_is_looked_up_on_the_path_of_the_worker(tmp_path: Path) -> None:
    ours, theirs = program(tmp_path / "ours" / "tool"), program(tmp_path / "theirs" / "tool")

    assert executable(tmp_path, 'command = ["tool"]', {"PATH": f"/bin:{ours.parent}"}) == str(ours)
    assert executable(
        tmp_path, f'command = ["tool"]\nenv = {{ PATH = "{theirs.parent}" }}', {"PATH": str(ours.parent)}
    ) == str(theirs)


def test_without_a_path_the_usual_folders_are_searched(tmp_path: Path) -> None:
    assert Path(executable(tmp_path, 'command = ["sh"]', {})).samefile("/bin/sh")


def test_relative_entries_of_path_count_from_the_folder_of_the_task(tmp_path: Path) -> None:
    tool = program(tmp_path / "src" / "bin" / "tool")
    task = 'command = ["tool"]\ncwd = "src"\nenv = { PATH = "%s" }'

    assert executable(tmp_path, task % "nowhere:bin") == str(tool)
    assert executable(tmp_path, task.replace("src", "src/bin") % "nowhere:") == str(tool)


def test_a_command_with_a_slash_counts_from_the_folder_of_the_task(tmp_path: Path) -> None:
    tool = program(tmp_path / "src" / "bin" / "tool")

    assert executable(tmp_path, 'command = ["bin/tool"]\ncwd = "src"') == str(tool)
    assert executable(tmp_path, f'command = ["{tool}"]') == str(tool)


def test_links_are_kept_since_programs_look_at_their_own_name(tmp_path: Path) -> None:
    (tmp_path / "tool").symlink_to(program(tmp_path / "real"))

    assert executable(tmp_path, 'command = ["./tool"]') == str(tmp_path / "tool")


def test_what_cannot_be_run_on_the_path_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "first" / "tool", 0o644)
    (tmp_path / "second" / "tool").mkdir(parents=True)
    tool = program(tmp_path / "third" / "tool")

    assert executable(tmp_path, 'command = ["tool"]\nenv = { PATH = "first:second:third" }') == str(tool)
    assert problems(tmp_path, 'tasks = [{ id = "a", command = ["tool"], env = { PATH = "first" } }]') == [
        f'tasks[0].command: "{tmp_path}/first/tool" is not executable; run chmod +x on it'
    ]


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    program(tmp_path / "plain", 0o644)
    found = problems(
        tmp_path,
        """
        [[tasks]]
        id = "a"
        command = ["rufff", "check"]
        [[tasks]]
        id = "b"
        command = ["./missing"]
        stdin = { file = "in.txt" }
        [[tasks]]
        id = "c"
        command = ["./plain"]
        needs = ["b"]
        [[tasks]]
        id = "d"
        command = ["sh"]
        cwd = "nowhere"
        [[tasks]]
        id = "e"
        command = ["/"]
        cwd = "plain"
        """,
    )

    assert found == [
        'tasks[0].command: no command "rufff" on PATH; install it, or correct the name',
        f'tasks[1].command: "{tmp_path}/missing": no such file or directory; {THERE}',
        f'tasks[1].stdin: "{tmp_path}/in.txt": no such file or directory; {THERE}',
        f'tasks[2].command: "{tmp_path}/plain" is not executable; run chmod +x on it',
        f'tasks[3].cwd: "{tmp_path}/nowhere": no such file or directory; {THERE}',
        f'tasks[4].cwd: "{tmp_path}/plain" is no directory; name one',
        'tasks[4].command: "/" is no file; name one that can be run',
    ]


def test_what_many_tasks_miss_is_told_once(tmp_path: Path) -> None:
    tasks = "".join(f'[[tasks]]\nid = "t{i}"\ncommand = ["./tool"]\n' for i in range(100))

    assert problems(tmp_path, f'[defaults]\ncwd = "nowhere"\n{tasks}') == [
        f'tasks[0].cwd: "{tmp_path}/nowhere": no such file or directory; {THERE} (in 100 tasks)'
    ]


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_stdin_that_would_block_or_cannot_be_read_as_a_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "in"
    path.mkdir() if kind == "folder" else os.mkfifo(path)

    assert problems(tmp_path, 'tasks = [{ id = "a", command = ["cat"], stdin = { file = "in" } }]') == [
        f'tasks[0].stdin: "{path}" is no file; name one'
    ]


def test_a_device_is_a_file_for_stdin(tmp_path: Path) -> None:
    assert executable(tmp_path, 'command = ["cat"]\nstdin = { file = "/dev/null" }')


def test_what_this_user_may_not_use_is_refused() -> None:
    with TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "in").touch(mode=0)
        (folder / "closed").mkdir(mode=0)
        (folder / "x.toml").write_text(
            'tasks = [{ id = "a", command = ["sh"], stdin = { file = "in" }, cwd = "closed" }]'
        )

        with as_nobody():
            found = problems(folder, None)

        assert found == [
            f'tasks[0].cwd: "{folder}/closed" cannot be entered by this user; change its permissions',
            f'tasks[0].stdin: "{folder}/in" is not readable for this user; change its permissions',
        ]


def test_a_plan_with_mistakes_of_its_own_is_not_looked_into(tmp_path: Path) -> None:
    assert problems(tmp_path, 'tasks = [{ id = "a", command = ["rufff"], needs = ["b"] }]') == [
        'tasks[0].needs: no task "b"; add it, or remove this need'
    ]


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(Path("no\nwhere.toml"), tmp_path, base=BASE)

    assert caught.value.problems == (r"no\nwhere.toml: no such file; correct the path",)


def test_a_file_to_follow_counts_from_the_start_and_need_not_be_there(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('tasks = [{ id = "a", source = "logfile", logfile = { path = "logs/x" } }]')

    loaded = load_plan(Path("x.toml"), tmp_path, base=BASE)

    assert loaded.plan.tasks[0].logfile == Logfile(str(tmp_path / "logs" / "x"))
    assert loaded.executables == {}


def test_a_file_to_follow_that_is_none_or_not_readable_is_told() -> None:
    text = 'tasks = [{ id = "a", source = "logfile", logfile = { path = "log" } }]'
    with as_nobody(), TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.mkdir()
        assert problems(Path(folder), text) == [f'tasks[0].logfile.path: "{log}" is no file; name one']
        log.rmdir()
        log.touch(mode=0o200)
        assert problems(Path(folder), text) == [
            f'tasks[0].logfile.path: "{log}" is not readable for this user; change its permissions'
        ]


def test_what_agents_need_is_told_once_for_each_of_them(tmp_path: Path) -> None:
    text = """
        [agents.there]
        attach = "http://127.0.0.1:1"
        password_env = "NOT_SET"
        [agents.ours]
        command = ["no-such-agent"]
        [agents.unused]
        command = ["no-such-agent-either"]
        [[tasks]]
        id = "a"
        agent = "there"
        prompt = "x"
        [[tasks]]
        id = "b"
        agent = "there"
        prompt = "x"
        cwd = "missing"
        [[tasks]]
        id = "c"
        agent = "ours"
        prompt = "x"
    """

    assert problems(tmp_path, text) == [
        f'tasks[1].cwd: "{tmp_path}/missing": no such file or directory; it must be there before the run starts',
        'agents.there.password_env: "NOT_SET" is not set; set it to the password of http://127.0.0.1:1',
        'agents.ours.command: no command "no-such-agent" on PATH; install it, or correct the name',
    ]


def test_a_plan_is_loaded_with_the_manifest_that_it_names_and_what_is_wrong_there_has_its_place(tmp_path: Path) -> None:
    plan = tmp_path / "x.toml"
    plan.write_text('generate = { manifest = "m.json" }')
    with pytest.raises(PlanError) as missing:
        load_plan(plan, tmp_path)
    manifest = b'{"agents": [{"id": "a", "command": ["true"]}, {"id": "b", "command": ["no-such-command"]}]}'
    (tmp_path / "m.json").write_bytes(manifest)
    with pytest.raises(PlanError) as wrong:
        load_plan(plan, tmp_path)
    (tmp_path / "m.json").write_bytes(manifest.replace(b"no-such-command", b"true"))

    loaded = load_plan(plan, tmp_path)

    assert missing.value.problems == ("m.json: no such file; correct the path",)
    assert wrong.value.problems == (
        f'{plan}: m.json: agents[1].command: no command "no-such-command" on PATH; install it, or correct the name',
    )
    assert [task.id for task in loaded.plan.tasks] == ["a", "b"]
    assert loaded.manifest == (tmp_path / "m.json").read_bytes()
