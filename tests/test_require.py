"""A test that lacks something is skipped at home and fails where CALLBOARD_REQUIRE says so."""

from pathlib import Path

import pytest

from tests import require
from tests.require import needs, program


@pytest.fixture(autouse=True)
def _nothing_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLBOARD_REQUIRE", raising=False)


def test_a_test_goes_on_when_the_program_is_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "tmux").touch(mode=0o755)

    needs("tmux", "install tmux")


def test_a_missing_program_skips_the_test_with_the_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(pytest.skip.Exception, match=r"^needs tmux: install tmux$"):
        needs("tmux", "install tmux")


@pytest.mark.parametrize("required", ["all", "tmux", "redis-server, tmux"])
def test_a_missing_program_that_is_required_fails_the_test(monkeypatch: pytest.MonkeyPatch, required: str) -> None:
    monkeypatch.setenv("CALLBOARD_REQUIRE", required)

    with pytest.raises(pytest.fail.Exception, match="needs tmux: install tmux"):
        needs("tmux", "install tmux", present=False)


def test_a_requirement_of_something_else_still_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBOARD_REQUIRE", "redis-server,tmuxinator")

    with pytest.raises(pytest.skip.Exception):
        needs("tmux", "install tmux", present=False)


def test_what_is_no_program_is_judged_by_the_caller() -> None:
    needs("cgroup v2", "mount it", present=True)

    with pytest.raises(pytest.skip.Exception, match="needs cgroup v2: mount it"):
        needs("cgroup v2", "mount it", present=False)


def test_an_agent_is_that_of_the_tests_before_that_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in ("ours", "machine"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "agent").touch(mode=0o755)
    monkeypatch.setattr(require, "_AGENTS", tmp_path / "ours")
    monkeypatch.setenv("PATH", str(tmp_path / "machine"))

    assert program("agent", "make agents") == str(tmp_path / "ours" / "agent")
    (tmp_path / "ours" / "agent").unlink()
    assert program("agent", "make agents") == str(tmp_path / "machine" / "agent")
    (tmp_path / "machine" / "agent").unlink()
    with pytest.raises(pytest.skip.Exception, match="needs agent: make agents"):
        program("agent", "make agents")
