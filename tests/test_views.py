from pathlib import Path

from supervisor.state import open_state
from supervisor.views import MILESTONES, read_view, update_view
from tests.made_fleets import add_records, exited, make_fleet, output, run_started, starting


def test_samples_are_left_out_where_nobody_needs_them(tmp_path: Path) -> None:
    fleet = make_fleet(open_state(tmp_path / "s"), [run_started("a"), starting("a"), output("a", length=5)])

    assert "worker.exited" in MILESTONES and "worker.output" not in MILESTONES
    assert read_view(fleet.folder.journal).tasks["a"].attempts[0].output["stdout"] == 0  # type: ignore[index]
    assert read_view(fleet.folder.journal, samples=True).tasks["a"].attempts[0].output["stdout"] == 5  # type: ignore[index]


def test_a_view_goes_on_where_it_was(tmp_path: Path) -> None:
    fleet = make_fleet(open_state(tmp_path / "s"), [run_started("a"), starting("a")])
    view = read_view(fleet.folder.journal)
    add_records(fleet, [exited("a")])

    update_view(view, fleet.folder.journal)

    assert view == read_view(fleet.folder.journal)
    assert view.last_seq == 3


def test_samples_that_were_passed_over_are_not_looked_at_again(tmp_path: Path) -> None:
    fleet = make_fleet(open_state(tmp_path / "s"), [run_started("a"), starting("a"), output("a", length=5)])

    assert read_view(fleet.folder.journal).last_seq == 3


def test_without_a_journal_nothing_began(tmp_path: Path) -> None:
    assert read_view(tmp_path / "journal.sqlite3").run is None
