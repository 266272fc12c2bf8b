import os
from pathlib import Path

import pytest

from supervisor.fleets import Fleet, create_fleet, find_fleets
from supervisor.locks import hold_lock
from supervisor.retention import Kept, Pruned, prune_runs
from supervisor.state import open_state
from tests.made_fleets import fill_spool, make_fleet, run_ended, run_started

DAY = 24 * 3600.0
NOW = 100 * DAY


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


def old_run(state: Path, days: float) -> Fleet:
    return make_fleet(state, [run_started("a"), run_ended(succeeded=1)], at=NOW - days * DAY)


def prune(state: Path, *, runs: int = 20, days: float = 30, dry_run: bool = False) -> Pruned:
    return prune_runs(state, keep_runs=runs, keep_days=days, dry_run=dry_run, now=NOW)


def names(state: Path) -> list[str]:
    return [fleet.name for fleet in find_fleets(state)]


def test_the_latest_runs_stay(state: Path) -> None:
    fleets = [old_run(state, days) for days in (1, 2, 3, 4)]

    done = prune(state, runs=2)

    assert [each.run for each in done.removed] == [fleets[2].name, fleets[3].name]
    assert names(state) == [fleets[0].name, fleets[1].name]
    assert sorted(path.name for path in state.iterdir()) == sorted([".gitignore", *names(state)])


def test_what_is_too_old_goes_even_if_it_is_one_of_them(state: Path) -> None:
    young, old = old_run(state, 29), old_run(state, 31)

    assert [each.run for each in prune(state).removed] == [old.name]
    assert names(state) == [young.name]


def test_what_is_freed_is_counted_in_bytes_on_disk(state: Path) -> None:
    fleet = old_run(state, 31)
    fill_spool(fleet, "a", b"x" * 1_000_000)

    done = prune(state)

    assert 1_000_000 <= done.bytes < 1_200_000
    assert [each.bytes for each in done.removed] == [done.bytes]


def test_a_dry_run_removes_nothing(state: Path) -> None:
    fleet = old_run(state, 31)

    done = prune(state, dry_run=True)

    assert done.dry_run and [each.run for each in done.removed] == [fleet.name]
    assert names(state) == [fleet.name]


def test_a_run_that_lives_is_never_removed(state: Path) -> None:
    with create_fleet(state, plan="", cwd="", version="", now=lambda: 0.0) as made:
        done = prune(state, runs=0)

        assert done.removed == ()
        assert done.kept == (Kept(made.identity.run, "it is running"),)
        assert names(state) == [made.identity.run]


def test_a_run_whose_keeper_lives_is_never_removed(state: Path) -> None:
    fleet = old_run(state, 31)

    with hold_lock(fleet.folder.keeper_lock):
        assert prune(state).kept == (Kept(fleet.name, "its keeper is running"),)
    assert names(state) == [fleet.name]


def test_a_killed_run_is_concluded_before_it_goes(state: Path) -> None:
    make_fleet(state, [run_started("a")], at=0.0)

    assert len(prune(state).removed) == 1
    assert names(state) == []


def test_what_is_damaged_stays_for_a_person_to_decide(state: Path) -> None:
    torn = old_run(state, 31)
    torn.folder.identity.write_bytes(b"{")
    os.utime(torn.folder.root, (0, 0))
    broken = make_fleet(state, None, at=0.0)
    broken.folder.journal.write_bytes(b"no database" * 1000)

    reasons = {kept.run: kept.reason for kept in prune(state, runs=0).kept}

    assert "remove it by hand" in reasons[torn.name] and str(torn.folder.root) in reasons[torn.name]
    assert "journal" in reasons[broken.name]
    assert len(names(state)) == 2


def test_a_link_in_a_run_is_removed_and_not_followed(state: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    fleet = old_run(state, 31)
    (fleet.folder.root / "link").symlink_to(tmp_path / "precious")

    prune(state)

    assert names(state) == []
    assert (tmp_path / "precious" / "file").exists()


def test_what_killed_callboards_left_half_made_or_half_removed_goes(state: Path) -> None:
    for name in (".old-1", ".new-old", ".new-young", ".new-locked"):
        (state / name).mkdir()
        os.utime(state / name, (NOW, NOW) if name == ".new-young" else (0, 0))
    with hold_lock(state / ".new-locked" / "lock"):
        os.utime(state / ".new-locked", (0, 0))

        prune(state)

    assert sorted(path.name for path in state.iterdir()) == [".gitignore", ".new-locked", ".new-young"]


def test_where_nothing_ran_nothing_goes(tmp_path: Path) -> None:
    assert prune(tmp_path / "none") == Pruned(removed=(), kept=(), bytes=0, dry_run=False)
