"""The settings that apply, and what is said about those that cannot."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from protocols.errors import SettingsError
from protocols.pressure import Limits
from supervisor.settings import RetentionSettings, Settings, StopSettings, StreamSettings, load_settings, open_settings


def problems(start: Path, config: Path | None = None, overrides: Mapping[str, object] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(start, config=config, overrides=overrides)
    return caught.value.problems


def test_without_any_source_the_defaults_apply(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings(
        state=tmp_path / ".callboard",
        stream=StreamSettings(flush_interval=0.05, max_line=2048),
        stop=StopSettings(grace=10.0, linger=2.0),
        retention=RetentionSettings(keep_runs=20, keep_days=30),
    )


def test_an_empty_file_says_the_same_as_none(tmp_path: Path) -> None:
    (tmp_path / "callboard.toml").touch()

    assert load_settings(tmp_path) == Settings(state=tmp_path / ".callboard")


def test_the_file_in_the_folder_applies_unless_another_is_named(tmp_path: Path) -> None:
    (tmp_path / "callboard.toml").write_text('state = "here"')
    (tmp_path / "other.toml").write_text('state = "/there"')

    assert load_settings(tmp_path).state == tmp_path / "here"
    assert load_settings(tmp_path, config=Path("other.toml")).state == Path("/there")


def test_flags_win_over_variables_and_variables_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "callboard.toml").write_text(
        'state = "file"\n[stop]\ngrace = "1s"\nlinger = "1s"\n[retention]\nkeep_runs = 1'
    )
    monkeypatch.setenv("CALLBOARD_CFG_STATE", "variable")
    monkeypatch.setenv("CALLBOARD_CFG_STOP__GRACE", "2s")
    monkeypatch.setenv("CALLBOARD_CFG_STOP__LINGER", "2s")
    monkeypatch.setenv("CALLBOARD_CFG_RETENTION__KEEP_DAYS", "2")

    settings = load_settings(tmp_path, overrides={"stop.grace": "3s", "retention.keep_runs": 3, "state": None})

    assert settings == Settings(
        state=tmp_path / "variable",
        stop=StopSettings(grace=3.0, linger=2.0),
        retention=RetentionSettings(keep_runs=3, keep_days=2),
    )


def test_a_command_of_the_command_line_starts_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_settings(None, None).state == tmp_path / ".callboard"
    assert open_settings(Path("elsewhere"), None).state == tmp_path / "elsewhere"


def test_names_that_are_no_settings_are_refused_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "callboard.toml").write_text(
        "stream.flush_intervall = '1s'\nstop = 5\nstat = 'x'\n[strem]\n[zzz]\nx = 1\n[state]\n"
    )
    monkeypatch.setenv("CALLBOARD_CFG_STREAM__MAX_LINES", "5")
    monkeypatch.setenv("callboard_cfg_state", "5")
    monkeypatch.setenv("CALLBOARD_CFG_ZZZ", "5")

    found = problems(tmp_path, overrides={"stop.gracee": "1s"})

    assert sorted(found) == sorted(
        [
            'flag stop.gracee: no such key; did you mean "grace"?',
            'CALLBOARD_CFG_STREAM__MAX_LINES: no such setting; did you mean "CALLBOARD_CFG_STREAM__MAX_LINE"?',
            'callboard_cfg_state: no such setting; did you mean "CALLBOARD_CFG_STATE"?',
            "CALLBOARD_CFG_ZZZ: no such setting; unset it",
            'callboard.toml: stream.flush_intervall: no such key; did you mean "flush_interval"?',
            "callboard.toml: stop: expected a table; write [stop]",
            'callboard.toml: stat: no such key; did you mean "state"?',
            'callboard.toml: strem: no such key; did you mean "stream"?',
            "callboard.toml: zzz.x: no such key; remove it",
        ]
    )


def test_wrong_values_are_refused_all_at_once_where_they_were_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "callboard.toml").write_text(
        'state = 5\n[stream]\nflush_interval = "0s"\nmax_line = true\n[stop]\ngrace = 5\n[retention]\nkeep_runs = 0'
    )
    monkeypatch.setenv("CALLBOARD_CFG_RETENTION__KEEP_DAYS", "a few")

    assert problems(tmp_path, overrides={"stop.linger": "soon"}) == (
        "callboard.toml: state: must be a valid string",
        "callboard.toml: stream.flush_interval: must be greater than 0",
        "callboard.toml: stream.max_line: expected a whole number, got true or false",
        'callboard.toml: stop.grace: expected a duration; write it like "90s", "10m", "1h30m" or "500ms"',
        'flag stop.linger: not a duration; write it like "90s", "10m", "1h30m" or "500ms"',
        "callboard.toml: retention.keep_runs: must be greater than or equal to 1",
        "CALLBOARD_CFG_RETENTION__KEEP_DAYS: must be a valid integer, unable to parse string as an integer",
    )


def test_admission_is_said_in_sizes_and_percent_and_zero_switches_a_limit_off(tmp_path: Path) -> None:
    file = tmp_path / "callboard.toml"
    file.write_text('[admission]\nmin_free_memory = "1.5 GB"\nmax_memory_pressure = 0\nmax_cpu_pressure = 97.5')

    admission = load_settings(tmp_path).admission
    file.write_text("[admission]\nmin_free_memory = 512\nmax_memory_pressure = 101\nmax_cpu_pressure = true")
    found = problems(tmp_path)

    assert admission == Limits(min_free_memory=1_500_000_000, max_memory_pressure=0.0, max_cpu_pressure=97.5)
    assert found == (
        'callboard.toml: admission.min_free_memory: expected a size; write it like "500kB", "34MB" or "2GiB"',
        "callboard.toml: admission.max_memory_pressure: must be less than or equal to 100",
        "callboard.toml: admission.max_cpu_pressure: expected a number, got true or false",
    )


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "callboard.toml").symlink_to("nowhere")
    (tmp_path / "broken.toml").write_text("state = ")
    (tmp_path / "{braces}.toml").write_text("state = 5")

    assert problems(tmp_path) == ("callboard.toml: no such file; correct the path",)
    assert problems(tmp_path, Path("other.toml")) == ("other.toml: no such file; correct the path",)
    assert problems(tmp_path, Path("{braces}.toml")) == ("{braces}.toml: state: must be a valid string",)
    assert problems(tmp_path, Path("broken.toml")) == (
        "broken.toml: line 1, column 9, the end: not valid TOML: Invalid value; correct it",
    )


@pytest.mark.parametrize("overrides", ["{}", "{'state': 'x'}", "{'state': None}"])
def test_pydantic_is_not_imported_where_there_is_nothing_to_read(tmp_path: Path, overrides: str) -> None:
    code = (
        "import sys; from pathlib import Path; from supervisor.settings import load_settings;"
        f"load_settings(Path(sys.argv[1]), overrides={overrides}); sys.exit('pydantic' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=20)
