"""Settings that cannot be used: each is told with where it stands, exit code 2, and nothing is started."""

from pathlib import Path

import pytest

from tests.running import callboard, task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(task("a", ["touch", "started"]))
    return tmp_path


def refused(folder: Path, *options: str) -> list[str]:
    """The errors of ``callboard run``, line by line; a command that only reads says the same."""
    done = callboard(folder, "run", "plan.toml", *options, code=2)

    assert done.stdout == ""
    assert not (folder / ".callboard").exists()
    assert not (folder / "started").exists()
    assert callboard(folder, "runs", *options, code=2).stderr == done.stderr
    return done.stderr.splitlines()


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(folder: Path) -> None:
    (folder / "callboard.toml").write_text('stat = "x"\n[stop]\ngraec = "1s"\nzzz = 1\n[retension]\nkeep_runs = 5\n')

    assert refused(folder) == [
        'error: callboard.toml: stat: no such key; did you mean "state"?',
        'error: callboard.toml: stop.graec: no such key; did you mean "grace"?',
        "error: callboard.toml: stop.zzz: no such key; remove it",
        'error: callboard.toml: retension.keep_runs: no such key; did you mean "retention.keep_runs"?',
    ]


def test_an_unknown_variable_is_refused_with_the_one_that_was_meant(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBOARD_CFG_STOP__GRAECE", "1s")
    monkeypatch.setenv("CALLBOARD_CFG_ZZZ", "1s")

    assert sorted(refused(folder)) == [
        'error: CALLBOARD_CFG_STOP__GRAECE: no such setting; did you mean "CALLBOARD_CFG_STOP__GRACE"?',
        "error: CALLBOARD_CFG_ZZZ: no such setting; unset it",
    ]


def test_bad_values_are_told_with_the_file_or_variable_that_says_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "callboard.toml").write_text('[stop]\ngrace = "soon"\nlinger = 2\n[retention]\nkeep_runs = 0\n')
    monkeypatch.setenv("CALLBOARD_CFG_STOP__LINGER", "5")
    monkeypatch.setenv("CALLBOARD_CFG_STREAM__MAX_LINE", "long")

    problems = refused(folder)

    assert [problem.rpartition(": ")[0] for problem in problems] == [
        "error: CALLBOARD_CFG_STREAM__MAX_LINE",
        "error: callboard.toml: stop.grace",
        "error: CALLBOARD_CFG_STOP__LINGER",
        "error: callboard.toml: retention.keep_runs",
    ]
    assert problems[1].endswith('not a duration; write it like "90s", "10m", "1h30m" or "500ms"')
    assert problems[2].endswith('a duration needs a unit; write "5s"')


def test_a_settings_file_that_is_named_must_be_there(folder: Path) -> None:
    assert refused(folder, "--config", "other.toml") == ["error: other.toml: no such file; correct the path"]


def test_a_settings_file_that_is_no_toml_is_told_with_its_line(folder: Path) -> None:
    (folder / "callboard.toml").write_text('state = "x"\n[stop\n')

    (problem,) = refused(folder)

    assert problem.startswith("error: callboard.toml: line 2, column 6: not valid TOML: ")


def test_a_settings_file_that_is_a_folder_is_refused(folder: Path) -> None:
    (folder / "callboard.toml").mkdir()

    assert refused(folder) == ["error: callboard.toml: a directory; name a file in it"]
