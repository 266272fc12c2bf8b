"""Budgets, waiting and quota of sessions on the real server, from the command line: all of it in one run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.budget import BudgetExceeded, BudgetWarned
from protocols.events import AttemptStarting, WorkerVerdict, WorkerWarned
from protocols.session_events import SessionEnded, SessionStarted
from tests.model_script import echo, finish, refuse, run, say, script
from tests.opencode import open_opencode, opencode_config
from tests.running import RunningPlan, running
from tests.scripted_model import open_model
from tests.session_plans import attached, session

pytestmark = [pytest.mark.opencode, pytest.mark.deadline(110)]  # a server starts, and two sessions wait
_PATIENCE = 100.0
_SETTINGS = '[liveness]\nheartbeat = "200ms"\n'
_SLOW = script(run("while [ ! -e go ]; do sleep 0.1; done; echo slept"), echo(), say("Done."))
_TURN = finish("tool_calls", input_tokens=100, output_tokens=10)
_ASKS = {"bash": "ask", "answer_within": "25s", "unanswered": "allow"}


def _plan(url: str) -> list[str]:
    turns = [step for number in range(8) for step in (run(f"echo {number}"), _TURN)]
    slow: dict[str, Any] = {"permissions": _ASKS, "timeout": "20s", "grace": "1s"}
    return [
        "[defaults]\nconcurrency = 16\n",
        attached(url),
        session("much", script(*turns, say("Done.")), retries=3, grace="5s", budget={"tokens": 350}),
        session("little", script(say("Done.")), budget={"tokens": 1_000_000, "cost": 5.0, "time": "1h"}),
        session("dear", script(*turns, say("Done.")), retries=3, grace="5s", budget={"cost": 0.0015}),
        session("unpriced", script(*turns, say("Done.")), model="local/free", grace="5s", budget={"cost": 5.0}),
        session("warned", _SLOW, timeout="10m", warn_before="599s", warning="Be quick.", output={"last_message": True}),
        session("waits", script(run("echo allowed"), echo()), counts_waiting=False, **slow),
        session("counts", script(run("echo allowed"), echo()), **slow),
        session(
            "quota", script(refuse(429, "no more", retry_after="1", code="insufficient_quota")), retry={"quota": 1}
        ),
    ]


def _config(folder: Path, url: str) -> dict[str, str]:
    """With a model of which no price is known."""
    said = opencode_config(url)
    models = said["provider"]["local"]["models"]
    models["free"] = {key: value for key, value in models["scripted"].items() if key != "cost"}
    (folder / "free.json").write_text(json.dumps(said))
    return {"OPENCODE_CONFIG": str(folder / "free.json")}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlan]:
    folder = tmp_path_factory.mktemp("run")
    with (
        open_model() as model,
        open_opencode(folder / "opencode", model.url, env=_config(folder, model.url)) as server,
        running(folder, *_plan(server.url), env={"SECRET": server.password}, settings=_SETTINGS) as plan,
    ):
        plan.wait_for(WorkerWarned, "warned")
        (started,) = plan.events(SessionStarted, "warned")
        plan.wait_until(lambda: "Be quick." in json.dumps(server.ask(f"/session/{started.session}/message")))
        (folder / "go").touch()
        plan.process.wait(_PATIENCE)
        plan.finish(1)
        yield plan


@pytest.mark.parametrize(("name", "kind"), [("much", "tokens"), ("dear", "cost")])
def test_a_session_that_uses_up_its_budget_is_stopped_and_not_retried(done: RunningPlan, name: str, kind: str) -> None:
    (warned,) = [event for event in done.events(BudgetWarned) if event.name == name]
    (exceeded,) = [event for event in done.events(BudgetExceeded) if event.name == name]
    assert (warned.kind, exceeded.kind) == (kind, kind)
    assert warned.spent < exceeded.spent
    assert done.task(name).status == "failed"
    assert done.task(name).reason.startswith(f'budget of task "{name}": {kind} ')
    assert [attempt.reason for attempt in done.task(name).attempts] == ["budget"]


def test_an_agent_is_told_that_its_time_is_over_soon_and_ends_as_ever(done: RunningPlan) -> None:
    (warned,) = done.events(WorkerWarned, "warned")

    assert (warned.text, warned.failed) == ("Be quick.", "")
    assert done.task("warned").status == "succeeded"
    assert [end.outcome for end in done.events(SessionEnded, "warned")] == ["completed"]
    assert "slept" in done.spool("warned", stream="session").decode()


def test_a_limit_of_cost_is_refused_at_the_first_tokens_that_have_no_price(done: RunningPlan) -> None:
    assert done.task("unpriced").status == "failed"
    assert done.task("unpriced").reason.startswith('budget of task "unpriced": its server tells no price for 1')


def test_one_that_stays_below_is_left_alone_and_what_it_used_is_reported(done: RunningPlan) -> None:
    lines = {line.kind: line for line in done.report.budgets if line.name == "little"}

    assert done.task("little").status == "succeeded"
    assert lines["tokens"].spent > 0
    assert 0 < lines["cost"].spent < 5.0


def test_time_in_which_a_session_waits_for_a_permission_can_be_excepted(done: RunningPlan) -> None:
    states = [event.state for event in done.events(WorkerVerdict, "waits")]

    assert "waiting-permission" in states
    assert done.task("waits").status == "succeeded"
    assert done.task("counts").status == "timed-out"


def test_a_session_without_quota_is_retried_as_the_plan_says_for_that(done: RunningPlan) -> None:
    ends = done.events(SessionEnded, "quota")

    assert [end.status for end in ends] == [429, 429]
    first, second = done.events(AttemptStarting, "quota")
    assert second.at - first.at >= 1.0
