"""Secrets that the plan names: workers get them, and nobody else is shown them."""

import os
import stat
from pathlib import Path

import pytest

from protocols.events import TaskStatusChanged
from tests.detached import DURABLE, UNTIL_GO, go, kill
from tests.running import callboard, resumed, running, task
from tests.users import UNPRIVILEGED

TOKEN = "gh-token-0123456789"
OTHER = "file-secret-abcdef"
FROM_ENV = {"GITHUB_TOKEN": {"env": "GH_TOKEN"}}
ENV = {"GH_TOKEN": TOKEN}


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def files_with(folder: Path, text: bytes) -> list[str]:
    """The files of a run that hold it, whatever they are."""
    found = [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]
    return sorted(str(path.relative_to(folder)) for path in found)


@pytest.mark.deadline(90)  # five commands, one after the other
def test_a_worker_gets_them_and_only_its_spool_holds_what_it_prints_of_them(tmp_path: Path) -> None:
    private(tmp_path / "secret", OTHER + "\n")
    secrets = {**FROM_ENV, "OTHER": {"file": "secret"}}
    command = """
        printf '%s' "$GITHUB_TOKEN" | head -c 5; sleep 0.2; printf '%s' "$GITHUB_TOKEN" | tail -c +6
        echo " and $OTHER"; echo "Proceed with $OTHER? [y/n]" >&2; exit 3
    """
    with running(tmp_path, task("a", command, secrets=secrets), options=("--show-output",), env=ENV) as run:
        run.finish(1)
        name, root = run.fleet.name, run.folder.root

        assert run.spool("a").decode() == f"{TOKEN} and {OTHER}\n"
        assert b"a | ***GITHUB_TOKEN*** and ***OTHER***\n" in run.stdout
        logs = callboard(tmp_path, "logs", name, "a").stdout
        assert logs == "***GITHUB_TOKEN*** and ***OTHER***\n"
        assert callboard(tmp_path, "logs", name, "a", "--range", "5:16").stdout == "***GITHUB_TOKEN*** a"
        assert (
            "Proceed with ***OTHER***? [y/n]" in callboard(tmp_path, "report").stdout + (root / "report.md").read_text()
        )
        shown = run.stdout.decode() + run.stderr + callboard(tmp_path, "events").stdout
        assert TOKEN not in shown and OTHER not in shown
        assert files_with(root, TOKEN.encode()) == ["spool/a/1/stdout"]
        assert files_with(root, OTHER.encode()) == ["spool/a/1/stderr", "spool/a/1/stdout"]
        assert stat.S_IMODE(run.folder.secrets.stat().st_mode) == 0o600


def test_what_an_attempt_failed_of_is_told_without_them(tmp_path: Path) -> None:
    (tmp_path / "x.schema.json").write_text('{"type": "integer"}')
    output = {"stdout_json": True, "schema": "x.schema.json"}
    with running(tmp_path, task("a", 'echo "\\"$GITHUB_TOKEN\\""', secrets=FROM_ENV, output=output), env=ENV) as run:
        run.finish(1)

        (failed,) = [event for event in run.events(TaskStatusChanged, "a") if event.status == "failed"]
        assert "***GITHUB_TOKEN***" in failed.reason
        assert TOKEN not in run.stdout.decode()


@pytest.mark.deadline(90)  # four commands, one after the other
def test_resume_reads_them_again(tmp_path: Path) -> None:
    plan = (
        task("a", UNTIL_GO),
        task("b", 'echo "$GITHUB_TOKEN"', needs=["a"], secrets=FROM_ENV),
    )
    with running(tmp_path, *plan, options=DURABLE, env=ENV) as run:
        run.wait_for(TaskStatusChanged, "a")
        kill(run)
        missing = callboard(tmp_path, "resume", code=2).stderr
        assert 'tasks[1].secrets.GITHUB_TOKEN: the variable "GH_TOKEN" is not set' in missing
        go(run)
        with resumed(tmp_path, env={"GH_TOKEN": "another-token-987"}) as again:
            again.finish()

            assert again.spool("b") == b"another-token-987\n"
        assert callboard(tmp_path, "logs", run.fleet.name, "b").stdout == "***GITHUB_TOKEN***\n"


def test_check_names_them_and_needs_them(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(task("a", "true", secrets={"TOKEN": {"file": "secret"}}))
    private(tmp_path / "secret", OTHER)

    said = (
        callboard(tmp_path, "check", "plan.toml").stdout + callboard(tmp_path, "run", "--dry-run", "plan.toml").stdout
    )

    assert "set: TOKEN" in said
    assert OTHER not in said


@pytest.mark.parametrize(
    ("mode", "text", "problem"),
    [
        (None, "", "cannot be read: no such file or directory; it must be there before the run starts"),
        (0o644, OTHER, "can be read by others (mode 0644); run chmod 600 on it"),
        (0o640, OTHER, "can be read by others (mode 0640); run chmod 600 on it"),
        (0o200, OTHER, "cannot be read: permission denied; it must be there before the run starts"),
        (0o600, "short", "holds less than 8 bytes, which cannot be told from other text; use a longer secret"),
        (0o600, "nul\0character", "holds a NUL character, which no variable can"),
    ],
)
def test_a_file_that_is_not_there_or_not_ours_alone_is_an_error_that_tells_nothing_of_it(
    tmp_path: Path, mode: int | None, text: str, problem: str
) -> None:
    (tmp_path / "plan.toml").write_text(task("a", "true", secrets={"TOKEN": {"file": "~/secret"}}))
    if mode is not None:
        private(tmp_path / "secret", text).chmod(mode)

    done = callboard(tmp_path, "check", "plan.toml", code=2, before=(*UNPRIVILEGED, "/usr/bin/env", f"HOME={tmp_path}"))

    assert done.stderr == f'error: plan.toml: tasks[0].secrets.TOKEN: "{tmp_path}/secret" {problem}\n'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(private(tmp_path / "secret", OTHER), 12345, 12345)
    (tmp_path / "plan.toml").write_text(task("a", "true", secrets={"TOKEN": {"file": "secret"}}))

    assert "belongs to another user; a secret has to be in a file of ours" in (
        callboard(tmp_path, "check", "plan.toml", code=2).stderr
    )


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        (
            {"A": "the secret itself"},
            'secrets.A: a plan holds no secrets; write { env = "VARIABLE" } or { file = "PATH" }',
        ),
        ({"A": {"env": "A", "file": "B"}}, 'secrets.A: write { env = "VARIABLE" } or { file = "PATH" }'),
        ({"A-B": {"env": "A"}}, 'secrets.A-B: no name for a secret; use letters, digits and "_"'),
        ({"CALLBOARD_X": {"env": "A"}}, "secrets.CALLBOARD_X: names that begin with CALLBOARD_ are callboard's own"),
        ({"E": {"env": "A"}}, "secrets.E: env sets it too; remove one of both"),
    ],
)
def test_a_mistake_is_told_without_what_was_written(tmp_path: Path, secrets: dict[str, object], problem: str) -> None:
    (tmp_path / "plan.toml").write_text(task("a", "true", secrets=secrets, env={"E": "1"}))

    told = callboard(tmp_path, "check", "plan.toml", code=2).stderr

    assert problem in told and "the secret itself" not in told
