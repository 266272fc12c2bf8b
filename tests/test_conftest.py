"""What tests/conftest.py promises to every test, seen from outside by a run of pytest of its own (1.5 s: it waits)."""

import os
import re
import subprocess
import sys
from pathlib import Path

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
TESTS = """
import os
import subprocess
import time

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st


async def test_a_deadlock_in_mock_time_is_too_slow(autojump_clock):
    await trio.sleep_forever()


async def test_days_in_mock_time_pass(autojump_clock):
    await trio.sleep(7 * 86400)


@pytest.mark.deadline(0.01)
async def test_a_deadlock_in_real_time_is_too_slow():
    await trio.sleep_forever()


@given(number=st.just(1))
@pytest.mark.deadline(0.01)
async def test_a_deadlock_of_a_property_is_too_slow(number):
    await trio.sleep_forever()


@pytest.mark.deadline(0.01)
def test_a_blocked_call_is_too_slow():
    time.sleep(600)


def test_a_running_child_is_left_behind():
    os.posix_spawn("/bin/sleep", ["sleep", "600"], {})


def test_a_reaped_child_passes():
    subprocess.run(["true"], check=True)


def test_settings_from_outside_are_gone_and_passes():
    assert [name for name in os.environ if name.startswith("CALLBOARD_")] == ["CALLBOARD_REQUIRE"]


@pytest.mark.soak
def test_soak():
    raise AssertionError
"""


def test_the_promises_of_conftest_hold(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_bytes((ROOT / "tests" / "conftest.py").read_bytes())
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        f"--config-file={ROOT / 'pyproject.toml'}",
        f"--rootdir={tmp_path}",
        "-rA",
    ]
    env = {**os.environ, "CALLBOARD_REQUIRE": "all", "CALLBOARD_MARK": "left/over", "COLUMNS": "200"}

    run = subprocess.run([*command, tmp_path], check=False, env=env, cwd=tmp_path, capture_output=True, text=True)

    outcomes = re.findall(r"^([A-Z]+) test_it\.py::(\w+)(?: - (\w+))?", run.stdout, re.MULTILINE)
    assert sorted(outcomes) == [
        ("ERROR", "test_a_running_child_is_left_behind", "Failed"),
        ("FAILED", "test_a_blocked_call_is_too_slow", "TimeoutError"),
        ("FAILED", "test_a_deadlock_in_mock_time_is_too_slow", "TooSlowError"),
        ("FAILED", "test_a_deadlock_in_real_time_is_too_slow", "TooSlowError"),
        ("FAILED", "test_a_deadlock_of_a_property_is_too_slow", "TooSlowError"),
        ("PASSED", "test_a_reaped_child_passes", ""),
        ("PASSED", "test_a_running_child_is_left_behind", ""),
        ("PASSED", "test_days_in_mock_time_pass", ""),
        ("PASSED", "test_settings_from_outside_are_gone_and_passes", ""),
    ], run.stdout + run.stderr
    assert re.search(r"left processes behind: \d+ sleep 600$", run.stdout, re.MULTILINE)
