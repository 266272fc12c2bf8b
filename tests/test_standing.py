"""How a run stands, in words: of a dead one from its journal. Living ones are asked in `test_control_port`."""

from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len

from protocols.control import RunStatus, StopParams, VerdictLine
from protocols.ids import TaskId
from protocols.server_events import ServerEnded
from supervisor.settings import Settings
from supervisor.standing import read_status, render_status
from supervisor.state import open_state
from supervisor.stopping import stop_run
from tests.made_fleets import AT, exited, make_fleet, output, run_ended, run_started, started, starting, status


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


@pytest.fixture
def ended(state: Path) -> RunStatus:
    make_fleet(
        state,
        [
            run_started("a", "b"),
            starting("a"),
            started("a"),
            output("a", length=1234),
            exited("a", code=3),
            status("a", "failed", attempt=1, reason="exit code 3"),
            status("b", "skipped", reason='needs "a"'),
            run_ended(failed=1, skipped=1),
        ],
    )
    return read_status(state, None)


def test_a_run_that_ended_is_told_by_its_journal(ended: RunStatus) -> None:
    head, empty, titles, *tasks = render_status(ended, None).splitlines()

    assert (head, empty) == (f"run {ended.run} of plan.toml: failed, 3s", "")
    assert titles.split() == ["task", "status", "attempt", "pid", "time", "output", "done", "what"]
    assert [line.split() for line in tasks] == [
        ["a", "failed", "1", "2s", "1.2", "kB", "exit", "code", "3"],
        ["b", "skipped", "needs", '"a"'],
    ]


def test_servers_stand_under_the_head(ended: RunStatus) -> None:
    lost = ServerEnded(at=1.0, server="c-1", boot=3, why="it \x1b[31m died", again_in=None, given_up=True)
    head, server, empty, *_ = render_status(msgspec.structs.replace(ended, servers=(lost,)), None).splitlines()

    assert head.startswith("run ") and empty == ""
    assert server.startswith("server c-1: it ") and server.endswith("died; it is given up") and "\x1b" not in server


@pytest.mark.parametrize("width", [40, 60, 100])
def test_it_fits_the_terminal(ended: RunStatus, width: int) -> None:
    long = msgspec.structs.replace(ended.tasks[0], task=TaskId("x" * 64), reason="why " * 50)
    told = render_status(msgspec.structs.replace(ended, tasks=(long, *ended.tasks)), width)

    assert all(cell_len(line) <= width for line in told.splitlines()[1:])


def test_a_run_that_was_killed_at_once_is_told_with_its_name(state: Path) -> None:
    fleet = make_fleet(state, None)

    assert render_status(read_status(state, None), None).startswith(f"run {fleet.name} of plan.toml: interrupted\n")


def test_a_dead_run_whose_end_cannot_be_recorded_is_not_said_to_run(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_fleet(state, [run_started("a"), status("a", "running")])
    monkeypatch.setattr("supervisor.standing.conclude", lambda _: False)

    assert read_status(state, None).outcome == "interrupted"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"blocked": "No space left on device", "stopping": "stop"}, "output waits: No space left on device"),
        ({"stopping": "stop"}, "being stopped"),
        ({"stopping": "timeout", "label": "compiling"}, "being stopped: timeout"),
        ({"reason": "exit code 3", "label": "compiling"}, "exit code 3"),
        ({"reason": "", "label": "compiling"}, "compiling"),
        ({"verdict": VerdictLine("working", True, ("x",), AT + 1), "reason": "", "label": "compiling"}, "compiling"),
        (
            {"verdict": VerdictLine("quiet", False, ("x", "y"), AT + 1), "status": "running", "label": "compiling"},
            "quiet for 2s; that began with: x; y",
        ),
        (
            {"verdict": VerdictLine("stalled", True, ("x",), AT + 9), "status": "running"},
            "stalled; that began with: x",
        ),
        (
            {"verdict": VerdictLine("stalled", True, ("x",), AT + 1), "status": "stopped", "reason": "orphaned"},
            "orphaned; it was stalled: x",
        ),
    ],
)
def test_the_most_pressing_fact_of_a_task_is_told(ended: RunStatus, fields: dict[str, object], what: str) -> None:
    line = msgspec.structs.replace(ended.tasks[0], **fields)

    told = render_status(msgspec.structs.replace(ended, tasks=(line,)), None)

    assert told.splitlines()[-1].endswith(f"  {what}")


def test_a_dead_run_need_not_be_stopped(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), status("a", "running")])

    assert stop_run(Settings(state=state), None, StopParams(), wait=True) == f"run {fleet.name} is not running"
    assert read_status(state, None).outcome == "interrupted"
