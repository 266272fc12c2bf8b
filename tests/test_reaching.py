"""A signal and another size of its terminal reach a worker, and the journal tells of both."""

from pathlib import Path

from protocols.events import WorkerStarted
from protocols.reached_events import WorkerResized, WorkerSignalled
from tests.standing_fleet import up

_TRAP = "trap 'echo usr1' USR1; trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done"


def test_a_signal_reaches_the_group_of_a_worker_and_is_in_the_journal_when_that_is_answered(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=_TRAP, shell=True)
        fleet.wait_for_output("a", b"up\n")
        fleet.wait_for(WorkerStarted, "a")

        done = fleet.done("signal", task="a", signal="usr1")
        told = [record for record in fleet.records() if isinstance(record.event, WorkerSignalled)]

        assert [(record.event.attempt, record.event.signal) for record in told] == [(1, "SIGUSR1")]  # type: ignore[union-attr]
        assert told[0].seq <= done["seq"]
        fleet.wait_for_output("a", b"usr1\n")
        assert 'signal "URS1": is not sent to workers; did you mean "USR1"?' in fleet.refused(
            "signal", task="a", signal="URS1"
        )
        assert "worker.kill kills" in fleet.refused("signal", task="a", signal="KILL")


def test_a_terminal_gets_another_size_also_behind_a_kill_of_the_supervisor(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        killed.spawn(id="a", command=_TRAP, shell=True, source="pty")
        killed.wait_for_output("a", b"up\r\n", "terminal")
        killed.process.kill()
        killed.process.wait()
        with up(tmp_path) as fleet:
            done = fleet.done("resize", task="a", columns=90, rows=33)

            fleet.wait_for_output("a", b"33 90\r\n", "terminal")
            resized = fleet.events(WorkerResized, "a")
            assert [(event.columns, event.rows) for event in resized] == [(90, 33)]
            assert (done["task"], done["attempt"]) == ("a", 1)


def test_what_has_no_terminal_or_does_not_run_is_told(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=["sleep", "1000"])
        fleet.wait_for(WorkerStarted, "a")

        assert 'worker "a" has no terminal' in fleet.refused("resize", task="a", columns=80, rows=24)
        fleet.done("stop", task="a", grace=0)
        assert "it does not run now, it is stopped" in fleet.refused("signal", task="a", signal="USR1")
