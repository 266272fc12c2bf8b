"""The command ``callboard`` as a user meets it: help, errors, exit codes."""

import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.cli import main as command

CALLBOARD = Path(sys.executable).with_name("callboard")
COMMANDS = (
    "run",
    "up",
    "down",
    "resume",
    "retry",
    "watch-run",
    "watch",
    "check",
    "ps",
    "top",
    "instances",
    "history",
    "spawn",
    "submit",
    "cancel",
    "restart",
    "kill",
    "status",
    "stop",
    "runs",
    "report",
    "attach",
    "logs",
    "events",
    "token",
    "approve",
    "deny",
    "prune",
    "clean",
    "doctor",
    "completion",
)


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """The command ignores interrupts when all is done; what runs in our own process must not do so for us."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def callboard(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CALLBOARD, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=30)


def test_help_names_every_command(tmp_path: Path) -> None:
    result = callboard("--help", cwd=tmp_path)

    assert result.returncode == 0
    assert [name for name in COMMANDS if f" {name} " not in result.stdout] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_parameters(name: str, tmp_path: Path) -> None:
    result = callboard(name, "--help", cwd=tmp_path)

    assert result.returncode == 0
    assert "Usage: callboard" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("rum", 'no command "rum"; did you mean "run"?'),
        ("zzz", 'no command "zzz"; see: callboard --help'),
        ("--zzz", 'no option "--zzz"; see: callboard --help'),
        ("run", "PLAN is missing; see: callboard run --help"),
        ("run a.toml b.toml", '"b.toml" is one word too many; see: callboard run --help'),
        ("run a.toml --show-outptu", 'no option "--show-outptu"; did you mean "--show-output"?'),
        ("run a.toml --state", "--state needs a value; see: callboard run --help"),
        (
            "run a.toml --output xml",
            'invalid value "xml" for --output. Choose from: "live", "plain", "json"; see: callboard run --help',
        ),
        ("run a.toml --output live", "--output live: standard output is no terminal; use --output plain"),
        (
            "run a.toml --output live --show-output",
            "--output live: there is no place for --show-output; use --output plain",
        ),
        ("watch-run --output live", "--output live: standard output is no terminal; use --output plain"),
        ("watch-rum", 'no command "watch-rum"; did you mean "watch-run"?'),
        ("watch-run a b", '"b" is one word too many; see: callboard watch-run --help'),
        ("logs", "NAME is missing; see: callboard logs --help"),
        (
            "events --after x",
            'invalid value for --after: unable to convert "x" into int; see: callboard events --help',
        ),
        ("stop --force --grace 5s", "--force and --grace: one excludes the other; leave one of them out"),
        ("stop --grace 5", '--grace: a duration needs a unit; write "5s"'),
    ],
)
def test_a_wrong_command_line_is_one_error_and_exit_code_2(arguments: str, problem: str, tmp_path: Path) -> None:
    result = callboard(*arguments.split(), cwd=tmp_path)

    assert result.returncode == 2
    assert result.stderr == f"error: {problem}\n"
    assert result.stdout == ""


def test_all_mistakes_of_a_plan_are_told_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        '[[tasks]]\nid = "a"\ncommand = ["no-such-command"]\nneeds = ["b"]\nretires = 1\n'
    )

    result = callboard("run", "plan.toml", cwd=tmp_path)

    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: plan.toml: tasks[0].") for line in lines)
    assert any('no task "b"' in line for line in lines)
    assert any('did you mean "retries"?' in line for line in lines)
    assert not (tmp_path / ".callboard").exists()


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    shell = f"{CALLBOARD} --help | head -1"

    result = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)

    assert result.stderr == ""


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    text = f"PATH={CALLBOARD.parent}:$PATH; {command}"
    return subprocess.run(["bash", "-c", text], cwd=cwd, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("command", ["--help", "runs", "doctor"])
def test_output_on_a_full_disk_is_one_error(command: str, tmp_path: Path) -> None:
    result = shell(f"callboard {command} > /dev/full", tmp_path)

    assert result.returncode == 1
    assert result.stderr == "error: standard output: No space left on device; make room, or send it elsewhere\n"


def test_closed_streams_disturb_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('[[tasks]]\nid = "a"\ncommand = ["echo", "hi"]\n')

    assert shell("callboard run plan.toml <&- >&- 2>&-", tmp_path).returncode == 0
    assert shell("callboard runs >&-", tmp_path).stderr == ""
    assert shell("callboard zzz 2>&-", tmp_path).returncode == 2
    (run,) = shell("callboard runs --json", tmp_path).stdout.splitlines()
    assert '"counts":{"succeeded":1}' in run
    assert (tmp_path / ".callboard").is_dir()


def test_what_the_encoding_of_the_terminal_lacks_is_escaped(tmp_path: Path) -> None:
    plan = 'tasks = [{ id = "a", command = ["true"] }, { id = "b", command = ["true"], needs = ["a"] }]'
    (tmp_path / "plan.toml").write_text(plan)

    result = shell("PYTHONIOENCODING=ascii callboard check plan.toml", tmp_path)

    assert result.returncode == 0
    assert "critical path: a \\u2192 b\n" in result.stdout


def test_in_a_folder_that_was_removed_there_is_one_error(tmp_path: Path) -> None:
    result = shell("mkdir gone && cd gone && rmdir ../gone && callboard runs", tmp_path)

    assert result.returncode == 2
    assert result.stderr == "error: the current folder: No such file or directory; change to another one\n"


@pytest.mark.parametrize(
    ("system", "release"), [("linux", "5.4.0-150-generic"), ("linux", "4.19"), ("darwin", "24.1.0")]
)
def test_another_system_gets_one_clear_error(
    system: str, release: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(sys, "argv", ["callboard", "runs"])

    with pytest.raises(SystemExit) as exit_info:
        command.main()

    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: callboard needs Linux 5.10 or later")
    assert release in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("release", ["5.10", "5.10.0-30-amd64", "6.18.44", "10.0"])
def test_later_kernels_are_fine(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(sys, "argv", ["callboard", "--version"])

    with pytest.raises(SystemExit) as exit_info:
        command.main()

    assert exit_info.value.code == 0
