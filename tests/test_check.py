"""``callboard check`` from the plan on disk to what is printed."""

import json
from pathlib import Path

import pytest

from protocols.errors import InputError
from supervisor.cli.check import check


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_plan_that_can_run_is_told_in_lines(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.toml").write_text('tasks = [{ id = "a", command = ["sh"] }]')
    monkeypatch.setenv("DEPLOY_TOKEN", "the-secret-value")

    check(Path("x.toml"))

    text = capsys.readouterr().out
    assert text.startswith("x.toml: 1 task in 1 wave, at most 16 at once\nwave 1: a\n")
    assert "DEPLOY_TOKEN" in text
    assert "the-secret-value" not in text


def test_the_same_comes_as_one_json_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.toml").write_text('tasks = [{ id = "a", command = ["sh"], timeout = "5s" }]')

    check(Path("x.toml"), json=True)

    found = json.loads(capsys.readouterr().out)
    assert (found["plan"], found["waves"], found["slowest"]) == ("x.toml", [["a"]], {"tasks": ["a"], "seconds": 5.0})
    assert "PATH" in found["environments"][0]["passed"]


def test_a_plan_that_cannot_run_is_an_error_and_nothing_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.toml").write_text('tasks = [{ id = "a", command = ["no-such-command"] }]')

    with pytest.raises(InputError) as caught:
        check(Path("x.toml"))

    assert caught.value.problems == (
        'x.toml: tasks[0].command: no command "no-such-command" on PATH; install it, or correct the name',
    )
    assert capsys.readouterr().out == ""
