"""``callboard up`` under ``kill -9``: 32 durable workers and 10 clients lose nothing, and get nothing twice."""

from pathlib import Path

import pytest

from tests.chaos.standing import Standing


@pytest.mark.deadline(240)
def test_a_supervisor_that_is_killed_five_times_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """Five starts of a supervisor, and what 32 workers say meanwhile."""
    assert Standing(tmp_path, seed=1, kills=5).play() == []


@pytest.mark.soak
@pytest.mark.deadline(1200)
def test_a_supervisor_that_is_killed_twenty_times_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    assert Standing(tmp_path, seed=2, kills=20).play() == []
