import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from actors.keeper_process.census import Census, Count
from actors.keeper_process.marks import in_exec
from tests.process_trees import Leader, Trees, open_trees, wait_until

US = os.getpid()
HIDDEN = "env -i setsid sleep 600 >/dev/null 2>&1"
"""Nothing but its parent tells where this belongs."""


@pytest.fixture
def trees() -> Iterator[Trees]:
    with open_trees() as opened:
        yield opened


@pytest.fixture
def census() -> Census:
    return Census("fleet")


def add(census: Census, attempt: str, leader: Leader) -> None:
    census.add(attempt, leader.process.pid, leader.process.start_ticks, frozenset({leader.pipe}))


def pids(count: Count, attempt: str) -> set[int]:
    return {process.pid for process in count.of[attempt]}


def unattributed(count: Count) -> set[int]:
    return {process.pid for process in count.unattributed}


def is_asleep(trees: Trees, pid: int) -> bool:
    return trees.process(pid).command == "sleep" and not in_exec(pid)


def wait_for_orphan(trees: Trees, pid: int) -> None:
    wait_until(lambda: trees.process(pid).ppid == US and is_asleep(trees, pid))


def start_orphan(trees: Trees, census: Census, attempt: str, script: str, mark: str = "") -> int:
    """Start an attempt whose leader is gone when this returns; the pid that it left to us."""
    leader = trees.start(f"({script} & echo $!); read line", {"CALLBOARD_MARK": mark} if mark else None)
    add(census, attempt, leader)
    pid = trees.read_pid(leader)
    wait_for_orphan(trees, pid)
    trees.end_leader(leader)
    census.leader_reaped(attempt)
    return pid


def forker(folder: Path) -> str:
    """A hidden process that forks a child whenever it gets SIGUSR1, see `fork`."""
    trap = f'trap "sleep 600 & echo \\$! >{folder}/new && mv {folder}/new {folder}/child" USR1'
    script = f"{trap}; touch {folder}/ready; while :; do sleep 0.005; done"
    return f"env -i PATH=$PATH setsid sh -c '{script}' >/dev/null 2>&1"


def fork(pid: int, folder: Path) -> int:
    os.kill(pid, signal.SIGUSR1)
    wait_until((folder / "child").exists)
    return int((folder / "child").read_text())


def test_plain_children_belong_to_the_attempt_of_their_parent(trees: Trees, census: Census) -> None:
    leader = trees.start("sleep 600 & echo $!; read line")
    add(census, "one", leader)
    child = trees.read_pid(leader)

    count = census.take([US])

    assert pids(count, "one") == {leader.process.pid, child}
    assert not count.unattributed and not count.moving


def test_children_in_sessions_of_their_own_belong_too(trees: Trees, census: Census) -> None:
    leader = trees.start(f"{HIDDEN} & echo $!; read line")
    add(census, "one", leader)
    child = trees.read_pid(leader)
    wait_until(lambda: trees.process(child).session == child)

    assert pids(census.take([US]), "one") == {leader.process.pid, child}


def test_each_attempt_has_its_own_and_a_leader_that_is_gone_is_not_counted(trees: Trees, census: Census) -> None:
    first, second = trees.start("sleep 600 & echo $!; read line"), trees.start("read line")
    add(census, "one", first)
    add(census, "two", second)
    child = trees.read_pid(first)
    trees.end_leader(second)

    count = census.take([US])

    assert pids(count, "one") == {first.process.pid, child}
    assert pids(count, "two") == set()


def test_an_orphan_in_the_session_of_its_leader_belongs(trees: Trees, census: Census) -> None:
    orphan = start_orphan(trees, census, "one", "env -i sleep 600 >/dev/null 2>&1")
    add(census, "two", trees.start("read line"))

    assert pids(census.take([US]), "one") == {orphan}


def test_a_daemon_belongs_by_its_mark(trees: Trees, census: Census) -> None:
    add(census, "two", trees.start("read line"))
    daemon = start_orphan(trees, census, "one", "setsid sleep 600 >/dev/null 2>&1", "fleet/one")

    assert pids(census.take([US]), "one") == {daemon}


@pytest.mark.parametrize("mark", ["outer/x:fleet/one", "fleet/one:inner/y", "outer/x:fleet/one:inner/y"])
def test_a_daemon_of_a_nested_callboard_belongs_by_its_part_of_the_mark(
    trees: Trees, census: Census, mark: str
) -> None:
    add(census, "two", trees.start("read line"))
    daemon = start_orphan(trees, census, "one", "setsid sleep 600 >/dev/null 2>&1", mark)

    assert pids(census.take([US]), "one") == {daemon}


def test_a_mark_of_an_attempt_that_is_gone_gives_it_to_no_other(trees: Trees, census: Census) -> None:
    daemon = start_orphan(trees, census, "one", "setsid sleep 600 >/dev/null 2>&1", "fleet/zero")

    assert unattributed(census.take([US])) == {daemon}


def test_who_holds_the_pipe_of_an_attempt_belongs(trees: Trees, census: Census) -> None:
    add(census, "two", trees.start("read line"))
    holder = start_orphan(trees, census, "one", "env -i setsid sleep 600")

    assert pids(census.take([US]), "one") == {holder}


def test_who_was_counted_below_its_parent_is_remembered_when_that_is_gone(trees: Trees, census: Census) -> None:
    add(census, "two", trees.start("read line"))
    leader = trees.start(f"{HIDDEN} & echo $!; read line")
    add(census, "one", leader)
    child = trees.read_pid(leader)
    census.take([US])
    trees.end_leader(leader)
    wait_for_orphan(trees, child)

    assert pids(census.take([US]), "one") == {child}
    assert pids(census.take([US]), "one") == {child}


def test_what_descends_from_somebody_remembered_belongs(trees: Trees, census: Census, tmp_path: Path) -> None:
    add(census, "two", trees.start("read line"))
    leader = trees.start(f"{forker(tmp_path)} & echo $!; read line")
    add(census, "one", leader)
    child = trees.read_pid(leader)
    wait_until((tmp_path / "ready").exists)
    census.take([US])
    trees.end_leader(leader)

    grandchild = fork(child, tmp_path)

    assert {child, grandchild} <= pids(census.take([US]), "one")


def test_without_any_evidence_it_is_of_the_only_attempt_that_was_alive(trees: Trees, census: Census) -> None:
    orphan = start_orphan(trees, census, "one", HIDDEN)

    count = census.take([US])

    assert pids(count, "one") == {orphan}
    assert not count.unattributed


def test_without_any_evidence_and_with_two_attempts_it_is_unattributed(trees: Trees, census: Census) -> None:
    add(census, "two", trees.start("read line"))
    orphan = start_orphan(trees, census, "one", HIDDEN)

    count = census.take([US])

    assert unattributed(count) == {orphan}
    assert pids(count, "one") == set()


def test_what_is_unattributed_is_not_given_to_the_attempt_that_happens_to_be_left(trees: Trees, census: Census) -> None:
    add(census, "two", trees.start("read line"))
    orphan = start_orphan(trees, census, "one", HIDDEN)
    census.take([US])
    census.remove("one")

    assert unattributed(census.take([US])) == {orphan}


def test_a_child_of_something_unattributed_is_not_given_to_the_only_attempt(
    trees: Trees, census: Census, tmp_path: Path
) -> None:
    lingering = trees.start("read line")
    add(census, "two", lingering)
    leader = trees.start(f"({forker(tmp_path)} & echo $!); read line")
    add(census, "one", leader)
    orphan = trees.read_pid(leader)
    wait_until((tmp_path / "ready").exists)
    trees.end_leader(leader)
    census.take([US])
    census.remove("one")

    child = fork(orphan, tmp_path)

    count = census.take([US])
    assert {orphan, child} <= unattributed(count)
    assert pids(count, "two") == {lingering.process.pid}


def test_a_chain_of_forks_is_seen_in_every_count(trees: Trees, census: Census, tmp_path: Path) -> None:
    script, stop = tmp_path / "chain", tmp_path / "stop"
    script.write_text(f"[ -e {stop} ] || exec setsid sh -c 'sh {script} & exit 0'")
    add(census, "two", trees.start("read line"))
    leader = trees.start(f"sh {script}", {"CALLBOARD_MARK": "fleet/one"})
    add(census, "one", leader)
    os.waitid(os.P_PID, leader.process.pid, os.WEXITED | os.WNOWAIT)

    for _ in range(50):
        trees.reap()
        count = census.take([US])
        assert count.of["one"] or count.unattributed or count.moving

    stop.touch()
    wait_until(lambda: _is_over(trees, census))


def _is_over(trees: Trees, census: Census) -> bool:
    trees.reap()
    count = census.take([US])
    return not (count.of["one"] or count.unattributed or count.moving)


def test_a_second_root_counts_only_what_shows_that_it_is_of_this_fleet(trees: Trees, census: Census) -> None:
    script = """
        sleep 600 & echo $!
        CALLBOARD_MARK=fleet/one setsid sleep 600 & echo $!
        CALLBOARD_MARK=fleet/zero setsid sleep 600 & echo $!
        sh -c 'sleep 600; :' & echo $!; read line
    """
    supervisor = trees.start(script)
    add(census, "one", trees.start("echo $$; read line"))
    own, marked, lost, nested = (trees.read_pid(supervisor) for _ in range(4))
    for pid in (own, marked, lost):
        wait_until(partial(is_asleep, trees, pid))

    count = census.take([US, supervisor.process.pid])

    assert marked in pids(count, "one")
    assert unattributed(count) == {lost}
    assert not {own, nested} & pids(count, "one")


def test_orphans_are_the_children_that_lead_nothing(trees: Trees, census: Census) -> None:
    add(census, "two", trees.start("read line"))
    assert census.orphans(US) == []

    orphan = start_orphan(trees, census, "one", HIDDEN)

    assert census.orphans(US) == [orphan]


def test_the_pid_of_a_leader_that_was_reaped_may_be_that_of_an_orphan(trees: Trees, census: Census) -> None:
    leader = trees.start("read line")
    add(census, "one", leader)
    assert census.orphans(US) == []

    census.leader_reaped("one")

    assert census.orphans(US) == [leader.process.pid]


def test_a_removed_attempt_is_in_no_count(trees: Trees, census: Census) -> None:
    add(census, "one", trees.start("read line"))
    census.remove("one")
    census.remove("one")

    assert census.take([US]).of == {}
