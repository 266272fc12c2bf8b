"""32 sessions at once on one real server, run from the command line; a reader of our own hears the same."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from protocols.session_events import SessionEnded
from tests.model_script import gate, run, say, script, think
from tests.opencode import open_opencode
from tests.running import running
from tests.scripted_model import open_model
from tests.session_checks import attempts_of, find_session_faults, listening, texts_of
from tests.session_plans import attached, session

pytestmark = pytest.mark.opencode
_SESSIONS, _DIRECTORIES = 32, 8
_PATIENCE = 100.0


@pytest.mark.deadline(
    300
)  # eight folders that the server opens at once take it some ten seconds, on a busy machine more
def test_of_32_sessions_in_8_directories_each_ends_and_has_all_of_its_events_in_order_and_none_of_another(
    tmp_path: Path,
) -> None:
    for number in range(_DIRECTORIES):
        (tmp_path / f"d{number}").mkdir()
        if number % 2:  # the others are no repositories, nor in one
            subprocess.run(["git", "init", "--quiet", tmp_path / f"d{number}"], check=True)
    first = session("first", script(say("ready")))  # a stream that is just being opened may miss what comes meanwhile
    tasks = [
        session(
            f"s{number}",
            script(think("so"), run(f"echo {number}"), gate("all"), say(f"{number} says it. ", times=30, size=11)),
            cwd=f"d{number % _DIRECTORIES}",
            needs=["first"],
        )
        for number in range(_SESSIONS)
    ]
    defaults = f"[defaults]\nconcurrency = {_SESSIONS}\n"
    with (
        open_model() as model,
        open_opencode(tmp_path / "opencode", model.url) as server,
        listening(server) as heard,
        running(tmp_path, defaults, attached(server.url), first, *tasks, env={"SECRET": server.password}) as run_of_it,
    ):
        run_of_it.wait_until(lambda: model.arrived("all") == _SESSIONS, _PATIENCE)
        model.open("all")
        run_of_it.process.wait(_PATIENCE)
        run_of_it.finish()

        assert find_session_faults(run_of_it, server) == []
        assert Counter(event.outcome for event in run_of_it.events(SessionEnded)) == {"completed": 1 + _SESSIONS}
        attempts = [attempt for attempt in attempts_of(run_of_it) if attempt.started.worker != "first"]
        assert len({attempt.session for attempt in attempts}) == _SESSIONS
        for attempt in attempts:
            said = server.ask(f"/session/{attempt.session}/message")
            assert list(heard.find_faults(attempt, said)) == []
            number = int(attempt.started.worker.removeprefix("s"))
            assert texts_of(said) == [f"{number} says it. " * 30]
            assert attempt.started.directory == str(tmp_path / f"d{number % _DIRECTORIES}")
