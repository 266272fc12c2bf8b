"""A run whose callboard is killed while its workers go on, for tests."""

import os
import signal

from protocols.events import WorkerOutput
from protocols.fleet_events import KeeperStarted
from tests.keeper_client import wait_until_gone
from tests.running import RunningPlan

__all__ = ["DURABLE", "UNTIL_GO", "covered", "go", "kill", "kill_keeper", "statuses"]

DURABLE = ("--durable",)
UNTIL_GO = "until [ -e go ]; do sleep 0.01; done"


def kill(run: RunningPlan) -> None:
    run.signal(signal.SIGKILL)
    run.process.wait()


def kill_keeper(run: RunningPlan) -> None:
    pid = run.events(KeeperStarted)[-1].pid
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)


def go(run: RunningPlan) -> None:
    (run.cwd / "go").touch()


def statuses(run: RunningPlan) -> dict[str, str]:
    return {task.id: task.status for task in run.report.tasks}


def covered(run: RunningPlan, name: str) -> int:
    """How many bytes of stdout the records cover, each exactly once and in order."""
    end = 0
    for output in run.events(WorkerOutput, name):
        if output.stream == "stdout":
            assert output.offset == end
            end += output.length
    return end
