"""A callboard that is a worker of a callboard: it just works, and both are one tree."""

import json
import signal
from pathlib import Path

from actors.journal_file import read_records
from actors.keeper_process.marks import find_marked
from protocols.events import AttemptStarting, Event, RunEnded, TaskStatusChanged, WorkerExited
from protocols.ids import WorkerId
from supervisor.fleets import Fleet, find_fleets
from tests.keeper_client import is_alive, wait_until_gone
from tests.running import CALLBOARD, SHORT, RunningPlan, running, task

_TREE = """
trap '' TERM
setsid sleep 60 &
echo $! >> pids
env -i setsid sleep 60 &
echo $! >> pids
echo $$ >> pids
echo up > up
while :; do sleep 0.1; done
"""


def _callboard(tmp_path: Path, *plan: str, **keys: object) -> str:
    """A task that runs this plan in the same folder and state."""
    (tmp_path / "inner.toml").write_text("\n".join(plan))
    return task("outer", [str(CALLBOARD), "run", "inner.toml", "--output", "json"], **keys)


def _inner(run: RunningPlan) -> Fleet:
    run.wait_until(lambda: len(find_fleets(run.cwd / ".callboard")) == 2)
    return next(fleet for fleet in find_fleets(run.cwd / ".callboard") if fleet.name != run.fleet.name)


def _events(fleet: Fleet) -> list[Event]:
    return [record.event for record in read_records(fleet.folder.journal)]


def _pids(tmp_path: Path) -> list[int]:
    return [int(pid) for pid in (tmp_path / "pids").read_text().split()]


def test_a_run_inside_a_task_comes_to_its_own_result(tmp_path: Path) -> None:
    inner = [task("a", "echo $CALLBOARD_MARK; echo $CALLBOARD_SOCKET"), task("b", "exit 3", needs=["a"])]
    env = {"CALLBOARD_CFG_STREAM__MAX_LINE": "100"}

    with running(tmp_path, _callboard(tmp_path, *inner), task("after", ["true"]), env=env) as run:
        run.finish(1)

        fleet = _inner(run)
        assert run.task("outer").reason == "exit code 1"
        assert fleet.identity is not None and run.fleet.identity is not None
        mark, socket = fleet.folder.spool(WorkerId("a"), 1, "stdout").read_text().split()
        attempts = [event.id for event in _events(fleet) if isinstance(event, AttemptStarting)]
        assert mark == f"{run.fleet.identity.fleet}/{run.attempt('outer').id}:{fleet.identity.fleet}/{attempts[0]}"
        assert socket == str(fleet.folder.control_socket)
        records = [json.loads(line) for line in run.spool("outer").splitlines()]
        assert [record["seq"] for record in records] == list(range(1, len(_events(fleet)) + 1))
        assert records[-1]["counts"] == {"succeeded": 1, "failed": 1}


def test_a_stop_of_the_outer_run_ends_the_inner_one_and_all_of_its_workers(tmp_path: Path) -> None:
    inner = [
        f"[defaults]\ngrace = '100ms'\n{task('tree', _TREE)}",
        task("obeys", "sleep 60", retries=5),
        task("bows", "trap 'exit 0' TERM; echo > bows; while :; do sleep 0.01; done"),
        task("waits", ["true"], needs=["bows"]),
    ]

    with running(tmp_path, _callboard(tmp_path, *inner), settings=SHORT) as run:
        run.wait_until(lambda: (tmp_path / "up").exists() and (tmp_path / "bows").exists())
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert not any(map(is_alive, _pids(tmp_path)))
        assert (run.task("outer").status, run.task("outer").reason) == ("stopped", "exit code 130")
        events = _events(_inner(run))
        assert [event.outcome for event in events if isinstance(event, RunEnded)] == ["interrupted"]
        assert len([event for event in events if isinstance(event, WorkerExited)]) == 3
        last = {event.task: event.status for event in events if isinstance(event, TaskStatusChanged)}
        assert last == dict.fromkeys(("tree", "obeys", "bows", "waits"), "stopped")


def test_the_outer_run_killed_leaves_nothing_of_the_inner_one(tmp_path: Path) -> None:
    with running(tmp_path, _callboard(tmp_path, task("tree", _TREE))) as run:
        run.wait_until((tmp_path / "up").exists)
        assert run.fleet.identity is not None
        marked = find_marked(run.fleet.identity.fleet)
        assert len(marked) >= 4
        run.signal(signal.SIGKILL)

        for pid in [*_pids(tmp_path), *(process.pid for process in marked)]:
            wait_until_gone(pid)
        assert not find_marked(run.fleet.identity.fleet)
