"""What real process trees use, as one sweep after the other sees it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.vitals import Root, Sampler, Vitals
from tests.process_trees import Leader, Trees, open_trees, wait_until

WAIT = "read line"
FORKS = "(sleep 600 & sleep 600 & echo $!; wait) & wait"
BUSY = "while :; do :; done"
AWAY = "setsid sh -c 'echo $$; exec sleep 600' & wait"
ORPHAN = "(sh -c 'echo $$; exec sleep 600' &) ; read line"


@pytest.fixture
def trees() -> Iterator[Trees]:
    with open_trees() as opened:
        yield opened


@pytest.fixture
def sampler() -> Iterator[Sampler[str]]:
    made = Sampler[str]()
    yield made
    made.close()


def root(leader: Leader) -> Root:
    return Root(leader.process.pid, leader.process.start_ticks)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_worker_that_waits_uses_memory_and_no_time(trees: Trees, sampler: Sampler[str]) -> None:
    roots = {"a": root(trees.start(WAIT))}
    first = sampler.sweep(roots)["a"]
    wait_until(lambda: sampler.sweep(roots)["a"].rss > 100_000)

    seen = sampler.sweep(roots)["a"]

    assert (seen.alive, seen.descendants, seen.zombies, seen.partial) == (True, 0, 0, False)
    assert seen.cpu - first.cpu < 0.1


def test_all_that_descend_from_a_worker_count_and_those_of_another_one_do_not(
    trees: Trees, sampler: Sampler[str]
) -> None:
    many, one = trees.start(FORKS), trees.start(WAIT)
    roots = {"many": root(many), "one": root(one)}
    alone = sampler.sweep(roots)["one"]
    trees.read_pid(many)

    seen = sampler.sweep(roots)

    assert (seen["many"].descendants, seen["one"].descendants) == (3, 0)
    assert seen["many"].rss > 3 * alone.rss / 2


def test_without_the_tree_only_what_is_known_is_looked_at(trees: Trees, sampler: Sampler[str]) -> None:
    leader = trees.start(FORKS)
    roots = {"a": root(leader)}
    trees.read_pid(leader)

    first, then = sampler.sweep(roots, tree=False)["a"], sampler.sweep(roots)["a"]

    assert (first.descendants, then.descendants) == (0, 3)
    assert sampler.sweep(roots, tree=False)["a"].descendants == 3


@pytest.mark.parametrize("script", [AWAY, ORPHAN], ids=["a session of its own", "an orphan in its session"])
def test_who_left_the_session_or_lost_its_parent_still_counts(trees: Trees, sampler: Sampler[str], script: str) -> None:
    leader = trees.start(script)
    trees.read_pid(leader)

    assert sampler.sweep({"a": root(leader)})["a"].descendants == 1


def test_who_was_seen_before_it_left_session_and_parent_still_counts(trees: Trees, sampler: Sampler[str]) -> None:
    leader = trees.start(AWAY)
    roots = {"a": root(leader)}
    trees.read_pid(leader)
    assert sampler.sweep(roots)["a"].descendants == 1
    os.kill(leader.process.pid, 9)
    os.waitpid(leader.process.pid, 0)

    seen = sampler.sweep(roots)["a"]

    assert (seen.alive, seen.descendants) == (False, 1)


def test_a_busy_loop_uses_time_also_in_a_child(trees: Trees, sampler: Sampler[str]) -> None:
    roots = {"leader": root(trees.start(BUSY)), "child": root(trees.start(f"({BUSY}) & wait"))}
    first = sampler.sweep(roots)

    def grown(key: str) -> float:
        return sampler.sweep(roots)[key].cpu - first[key].cpu

    wait_until(lambda: grown("leader") > 0.05)
    wait_until(lambda: grown("child") > 0.05)


def test_the_time_of_children_that_came_and_went_between_two_sweeps_counts(trees: Trees, sampler: Sampler[str]) -> None:
    leader = trees.start(f"read line; timeout 0.2 sh -c '{BUSY}'; echo 1; read line")
    roots = {"a": root(leader)}
    first = sampler.sweep(roots)["a"].cpu
    os.write(leader.stdin, b"\n")
    trees.read_pid(leader)

    assert sampler.sweep(roots)["a"].cpu - first > 0.03


def test_time_never_runs_back_when_one_is_gone_whose_parent_did_not_wait(trees: Trees, sampler: Sampler[str]) -> None:
    leader = trees.start(f"(setsid sh -c 'echo $$; {BUSY}' & exec sleep 600) & wait")
    roots = {"a": root(leader)}
    busy = trees.read_pid(leader)
    wait_until(lambda: sampler.sweep(roots)["a"].cpu > 0.1)
    os.kill(trees.process(busy).ppid, 9)
    wait_until(lambda: trees.process(busy).ppid == os.getpid())
    os.kill(busy, 9)
    os.waitpid(busy, 0)
    used = sampler.sweep(roots)["a"].cpu

    then = sampler.sweep(roots)["a"]

    assert used > 0.1
    assert (then.cpu, then.descendants) == (used, 0)


def test_children_that_nobody_waits_for_are_zombies(trees: Trees, sampler: Sampler[str]) -> None:
    leader = trees.start("true & true & exec sleep 600")
    roots = {"a": root(leader)}

    wait_until(lambda: sampler.sweep(roots)["a"].zombies == 2)

    assert sampler.sweep(roots)["a"].descendants == 0


def test_a_leader_that_has_ended_is_not_alive_before_and_after_it_is_reaped(
    trees: Trees, sampler: Sampler[str]
) -> None:
    leader = trees.start(WAIT)
    roots = {"a": root(leader)}
    assert sampler.sweep(roots)["a"].alive
    os.kill(leader.process.pid, 9)
    wait_until(lambda: not sampler.sweep(roots)["a"].alive)
    before = sampler.sweep(roots)["a"]
    trees.reap()

    after = sampler.sweep(roots)["a"]

    assert (before.alive, before.zombies, after.alive, after.zombies) == (False, 0, False, 0)
    assert after.cpu >= before.cpu
    assert after.rss == 0


def test_another_process_with_the_same_pid_is_not_the_worker(trees: Trees, sampler: Sampler[str]) -> None:
    leader = trees.start(WAIT)

    seen = sampler.sweep({"a": Root(leader.process.pid, leader.process.start_ticks - 1)})["a"]

    assert seen == Vitals(alive=False, cpu=0.0, rss=0, descendants=0, zombies=0, partial=False)


def test_who_is_not_asked_for_any_more_costs_no_descriptor(trees: Trees, sampler: Sampler[str]) -> None:
    leader = trees.start(FORKS)
    trees.read_pid(leader)
    before = descriptors()
    for _ in range(3):
        sampler.sweep({"a": root(leader)})
    kept = descriptors()

    sampler.sweep({})

    assert kept == before + 4
    assert descriptors() == before


def test_a_closed_one_keeps_no_descriptor(trees: Trees) -> None:
    made = Sampler[str]()
    roots = {"a": root(trees.start(WAIT))}
    before = descriptors()
    for _ in range(2):
        made.sweep(roots)
    kept = descriptors()

    made.close()

    assert (kept, descriptors()) == (before + 1, before)


def test_one_that_is_closed_during_a_sweep_is_closed_after_it(trees: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Sampler[str]()
    roots = {"a": root(trees.start(WAIT))}
    before = descriptors()
    made.sweep(roots)
    listed = os.listdir

    def close_and_list(path: str) -> list[str]:
        made.close()
        return listed(path)

    monkeypatch.setattr("os.listdir", close_and_list)

    assert made.sweep(roots)["a"].alive
    monkeypatch.undo()
    assert descriptors() == before


def test_where_descriptors_are_few_processes_are_read_by_name(trees: Trees) -> None:
    made = Sampler[str](room=1)
    leader = trees.start(FORKS)
    trees.read_pid(leader)
    before = descriptors()

    seen = [made.sweep({"a": root(leader)})["a"].descendants for _ in range(3)]

    assert seen == [3, 3, 3]
    assert descriptors() == before + 1
    made.close()


def test_of_a_tree_that_is_too_large_the_figures_are_said_to_be_partial(
    trees: Trees, sampler: Sampler[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.vitals._MOST", 3)
    leader = trees.start(FORKS)
    trees.read_pid(leader)

    seen = sampler.sweep({"a": root(leader)})["a"]

    assert (seen.descendants, seen.partial) == (2, True)


def test_strangers_are_looked_at_anew_now_and_then(
    trees: Trees, sampler: Sampler[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = trees.start(f"read line; {FORKS}")
    roots = {"a": root(leader)}
    sampler.sweep(roots)
    os.write(leader.stdin, b"\n")
    trees.read_pid(leader)
    sampler._strangers.update(range(1, 2**22))  # as if others had had the pids of its children

    seen = {sampler.sweep(roots)["a"].descendants for _ in range(20)}

    assert seen == {0, 3}


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12))
def test_any_change_of_whom_to_look_at_leaves_no_descriptor_behind(asked: list[tuple[int, bool]]) -> None:
    made, before = Sampler[int](), descriptors()
    ourselves = made.sweep({})
    assert ourselves == {}
    own = Root(os.getpid(), 0)
    for number, tree in asked:
        made.sweep(dict.fromkeys(range(number), own), tree=tree)

    made.close()

    assert descriptors() == before
