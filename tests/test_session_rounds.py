"""Rounds of sessions on the real server, always the same ones: whatever is struck, no end is missed or doubled."""

from pathlib import Path

import pytest

from tests.chaos.session_rounds import SessionRound
from tests.chaos.session_scripts import write_session_script
from tests.opencode import OpenCode
from tests.scripted_model import ScriptedModel

ROUNDS = range(1, 9)


@pytest.fixture(autouse=True)
def _no_process_left() -> None:
    """The server is another process behind a round that killed it. Each round looks itself for what its run left."""


@pytest.mark.opencode
@pytest.mark.deadline(115)
@pytest.mark.parametrize("seed", ROUNDS)
def test_whatever_is_struck_each_prompt_ends_once_and_says_what_the_server_has(
    server: OpenCode, model: ScriptedModel, tmp_path: Path, seed: int
) -> None:
    """Some fifteen seconds where nothing else runs: a server that was killed takes a few to be there again."""
    played = SessionRound(seed, tmp_path, server, model)

    faults = played.play()

    assert not faults, "\n".join([*played.story, *faults])


def test_the_rounds_differ_in_all_that_can_happen() -> None:
    scripts = [write_session_script(seed) for seed in ROUNDS]

    kinds = {strike.kind for script in scripts for strike in script.strikes}
    assert kinds >= {"cut", "hold", "away", "kill server", "kill callboard", "kill both"}
    assert {script.managed for script in scripts} == {True, False}
    assert {type(fault).__name__ for script in scripts for fault in script.spoilt} == {
        "Cut",
        "Double",
        "Hold",
        "Late",
        "Split",
    }
