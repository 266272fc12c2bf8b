"""A plan that cannot run, as the command gets it: every mistake in one go, exit code 2, and nothing is started."""

import os
from pathlib import Path

import pytest

from tests.running import callboard, python, task
from tests.users import UNPRIVILEGED

_TOUCH = "from pathlib import Path; Path('started').touch()"
GOOD = python("good", _TOUCH)
"""A task that would leave its trace if anything of the plan was started."""


def assert_nothing_started(folder: Path) -> None:
    assert not (folder / ".callboard").exists()
    assert not (folder / "started").exists()


def refused(folder: Path, *plan: str) -> list[str]:
    """What ``callboard run`` says of a plan, without what all its lines have in common."""
    (folder / "plan.toml").write_text("\n".join(plan))
    done = callboard(folder, "run", "plan.toml", code=2)

    assert done.stdout == ""
    assert_nothing_started(folder)
    lines = done.stderr.splitlines()
    assert all(line.startswith("error: plan.toml: ") for line in lines)
    return [line.removeprefix("error: plan.toml: ") for line in lines]


def refused_file(folder: Path, name: str, *before: str) -> str:
    """What it says of a file that it cannot read."""
    done = callboard(folder, "run", name, code=2, before=before)

    assert done.stdout == ""
    assert_nothing_started(folder)
    return done.stderr


def test_a_plan_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, GOOD, '[[tasks]\nid = "b"')

    line = GOOD.count("\n") + 2
    assert problem.startswith(f"line {line}, column 8: not valid TOML: ")
    assert problem.endswith("; correct it")


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    problems = refused(tmp_path, '[defaults]\ntimeoot = "1m"', '[roles.r]\nretris = 1\nzzz = ""', GOOD, "neds = []")

    assert problems == [
        'defaults.timeoot: no such key; did you mean "timeout"?',
        'roles.r.retris: no such key; did you mean "retries"?',
        "roles.r.zzz: no such key; remove it",
        'tasks[0].neds: no such key; did you mean "needs"?',
    ]


def test_a_key_of_a_later_version_is_refused_and_not_ignored(tmp_path: Path) -> None:
    problems = refused(tmp_path, task("a", ["true"], session="x"))

    assert problems == [
        "tasks[0].session: this key is not supported by this version; remove it",
    ]


def test_two_tasks_of_one_name_are_both_named(tmp_path: Path) -> None:
    assert refused(tmp_path, GOOD, task("b", ["true"]), task("good", ["true"])) == [
        'tasks[2].id: "good" is the id of tasks[0] too; rename one of them'
    ]


def test_an_unknown_need_is_refused_with_the_task_that_was_meant(tmp_path: Path) -> None:
    assert refused(tmp_path, GOOD, task("b", ["true"], needs=["godo", "zzz"])) == [
        'tasks[1].needs: no task "godo"; did you mean "good"?',
        'tasks[1].needs: no task "zzz"; add it, or remove this need',
    ]


def test_a_cycle_is_told_in_the_order_of_its_needs(tmp_path: Path) -> None:
    assert refused(
        tmp_path,
        GOOD,
        task("a", ["true"], needs=["c", "good"]),
        task("b", ["true"], needs=["a"]),
        task("c", ["true"], needs=["b"]),
        task("d", ["true"], needs=["d"]),
    ) == [
        "tasks[4].needs: a task cannot need itself; remove it",
        "tasks[1].needs: cycle a → c → b → a, each needs the next; remove one of these needs",
    ]


def test_a_bad_duration_is_told_with_what_to_write(tmp_path: Path) -> None:
    form = 'write it like "90s", "10m", "1h30m" or "500ms"'

    assert refused(
        tmp_path,
        task("a", ["true"], timeout="soon", backoff="-1s", grace=5),
        task("b", ["true"], timeout="90"),
        task("c", ["true"], timeout="0s"),
    ) == [
        f'tasks[0].timeout: "soon": not a duration; {form}',
        f'tasks[0].backoff: "-1s": not a duration; {form}',
        'tasks[0].grace: expected a duration, got a number; write "5s"',
        'tasks[1].timeout: "90": a duration needs a unit; write "90s"',
        'tasks[2].timeout: "0s" is no time at all; write a longer one, or leave the key out',
    ]


def test_a_number_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    assert refused(
        tmp_path, "[defaults]\nconcurrency = 0", task("a", ["true"], retries=-1), task("b", ["true"], retries="2")
    ) == [
        "defaults.concurrency: out of range; write a number from 1 to 1000000",
        "tasks[0].retries: out of range; write a number from 0 to 1000000",
        "tasks[1].retries: expected a whole number, got a string",
    ]


def test_an_id_that_is_no_safe_name_of_a_folder_is_refused(tmp_path: Path) -> None:
    names = ["../a", "a/b", "..", ".hidden", "-rf", "a b", "a\n", "ä", "a" * 65]
    rule = 'use up to 64 letters, digits, ".", "_" and "-", the first a letter or a digit'

    assert refused(tmp_path, *(task(name, ["true"]) for name in names)) == [
        f'tasks[{index}].id: "{shown}" is not a safe name; {rule}'
        for index, shown in enumerate(name.replace("\n", "\\n") for name in names)
    ]


def test_an_unknown_role_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    assert refused(
        tmp_path, "[roles.checker]", task("a", ["true"], role="chekcer"), task("b", ["true"], role="zzz")
    ) == [
        'tasks[0].role: no role "chekcer"; did you mean "checker"?',
        'tasks[1].role: no role "zzz"; add [roles.zzz]',
    ]


@pytest.mark.parametrize("plan", ["", 'tasks = []\n[defaults]\ntimeout = "1m"'])
def test_a_plan_without_tasks_is_refused(tmp_path: Path, plan: str) -> None:
    assert refused(tmp_path, plan) == ["tasks: a plan needs at least one task; add [[tasks]] with an id and a command"]


def test_all_commands_that_are_not_there_are_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "script").touch(mode=0o644)

    assert refused(
        tmp_path,
        GOOD,
        task("b", ["no-such-command", "--fast"]),
        task("c", ["no-such-tool"]),
        task("d", ["no-such-command"]),
        task("e", ["./script"]),
        task("f", ["./missing"]),
        task("g", ["/"]),
        task("h", ["sh"], env={"PATH": "/nowhere"}),
    ) == [
        'tasks[1].command: no command "no-such-command" on PATH; install it, or correct the name (in 2 tasks)',
        'tasks[2].command: no command "no-such-tool" on PATH; install it, or correct the name',
        f'tasks[4].command: "{tmp_path}/script" is not executable; run chmod +x on it',
        f'tasks[5].command: "{tmp_path}/missing": no such file or directory; it must be there before the run starts',
        'tasks[6].command: "/" is no file; name one that can be run',
        'tasks[7].command: no command "sh" on PATH; install it, or correct the name',
    ]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert refused(tmp_path, GOOD, task("b", ["true"], cwd="nowhere"), task("c", ["true"], cwd="file")) == [
        f'tasks[1].cwd: "{tmp_path}/nowhere": no such file or directory; it must be there before the run starts',
        f'tasks[2].cwd: "{tmp_path}/file" is no directory; name one',
    ]


def test_a_file_for_stdin_that_is_not_there_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    assert refused(
        tmp_path, task("a", ["true"], stdin={"file": "input"}), task("b", ["true"], stdin={"file": "fifo"})
    ) == [
        f'tasks[0].stdin: "{tmp_path}/input": no such file or directory; it must be there before the run starts',
        f'tasks[1].stdin: "{tmp_path}/fifo" is no file; name one',
    ]


def test_mistakes_of_all_kinds_are_told_at_once(tmp_path: Path) -> None:
    plan = (
        task("a/b", "true", shell=False, timeout="x", retries=-1, needs=["q"], role="r", env={"A=B": "1"}),
        "[[tasks]]",
    )

    problems = refused(tmp_path, *plan)

    assert sorted(problem.partition(": ")[0] for problem in problems) == [
        "tasks[0].command",
        'tasks[0].env."A=B"',
        "tasks[0].id",
        "tasks[0].needs",
        "tasks[0].retries",
        "tasks[0].role",
        "tasks[0].timeout",
        "tasks[1].command",
        "tasks[1].id",
    ]
    checked = callboard(tmp_path, "check", "plan.toml", code=2)
    assert checked.stderr == "".join(f"error: plan.toml: {problem}\n" for problem in problems)


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refused_file(tmp_path, "missing.toml") == "error: missing.toml: no such file; correct the path\n"


def test_a_folder_is_no_plan(tmp_path: Path) -> None:
    assert refused_file(tmp_path, ".") == "error: .: a directory; name a file in it\n"


def test_a_plan_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").touch(mode=0)

    error = refused_file(tmp_path, "plan.toml", *UNPRIVILEGED)

    assert error == "error: plan.toml: not readable for this user; change its permissions\n"


def test_a_plan_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_bytes(GOOD.encode() + b"# \xe4\n")

    line = GOOD.count("\n") + 1
    error = refused_file(tmp_path, "plan.toml")

    assert error == f"error: plan.toml: line {line}: not UTF-8; save the file as UTF-8\n"


def test_a_file_name_with_control_characters_is_harmless_in_messages(tmp_path: Path) -> None:
    assert refused_file(tmp_path, "\x1b[31m\n.toml") == "error: \\x1b[31m\\n.toml: no such file; correct the path\n"
