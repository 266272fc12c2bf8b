"""What is at work in the whole tree, and figures of it."""

from protocols.events import Event, Record
from protocols.port_figures import Active, Stats, tell_active, tell_stats
from protocols.states import RunView
from tests.made_fleets import AT, output, run_ended, run_started, starting, status


def _view(*events: Event) -> RunView:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    return view


def test_what_waits_for_its_next_attempt_is_at_work_and_what_has_not_begun_is_not() -> None:
    view = _view(run_started(*"abcd"), status("a", "running"), status("b", "retrying"), status("c", "failed"))

    assert tell_active(view) == Active(tasks=("a", "b"), runs=(".",), last_seq=4)


def test_a_run_that_has_ended_is_not_at_work() -> None:
    assert tell_active(_view(run_started("a"), status("a", "succeeded"), run_ended(succeeded=1))).runs == ()


def test_output_of_all_attempts_counts() -> None:
    events: list[Event] = [starting("a"), output("a", length=5), output("a", stream="stderr", length=2)]
    again: list[Event] = [starting("a", 2), output("a", 2, length=10), status("a", "running")]

    assert tell_stats(_view(run_started("a"), *events, *again), AT + 3, 2) == Stats(
        tasks={"running": 1}, runs=1, attempts=2, output_bytes=17, records=7, seconds=3.0, event_streams=2
    )


def test_nothing_has_begun() -> None:
    assert tell_stats(RunView(), AT, 0).seconds is None
    assert tell_active(RunView()).tasks == ()
