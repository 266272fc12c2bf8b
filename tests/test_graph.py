"""The order of tasks, the skips and the caps, on graphs of any shape."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from protocols.graph import critical_path, find_cycles, waves
from protocols.ids import TaskId

A, B, C, D, E = (TaskId(name) for name in "abcde")
DIAMOND: dict[TaskId, Sequence[TaskId]] = {A: [], B: [A], C: [A], D: [B, C], E: []}
LONG = 10_000


def chain(length: int) -> dict[TaskId, list[TaskId]]:
    return {TaskId(f"t{i}"): [TaskId(f"t{i - 1}")] if i else [] for i in range(length)}


def test_ten_thousand_tasks_in_a_chain_need_no_recursion() -> None:
    needs = chain(LONG)
    first, last = TaskId("t0"), TaskId(f"t{LONG - 1}")

    assert len(waves(needs)) == LONG
    assert len(critical_path(needs)) == LONG
    assert find_cycles(needs) == []
    assert len(find_cycles({**needs, first: [last]})[0]) == LONG + 1


def test_a_cycle_is_told_in_the_order_of_needs_from_its_first_task() -> None:
    assert find_cycles({D: [C], A: [B], B: [C], C: [A]}) == [(A, B, C, A)]


def test_each_knot_of_tasks_is_told() -> None:
    assert find_cycles({A: [A], B: [C], C: [B], D: [], E: [D, B]}) == [(A, A), (B, C, B)]


def test_the_number_of_cycles_told_is_bounded() -> None:
    needs = {TaskId(f"t{i}"): [TaskId(f"t{i ^ 1}")] for i in range(100)}

    assert len(find_cycles(needs, limit=7)) == 7


def test_waves_hold_the_tasks_by_their_depth_in_the_order_of_the_plan() -> None:
    assert waves(DIAMOND) == ((A, E), (B, C), (D,))
    assert waves({}) == ()


def test_the_critical_path_is_the_longest_chain_or_the_heaviest() -> None:
    assert critical_path(DIAMOND) == (A, B, D)
    assert critical_path(DIAMOND, {A: 1, B: 1, C: 5, D: 1, E: 3}) == (A, C, D)
    assert critical_path(DIAMOND, {A: 1, B: 1, C: 5, D: 1, E: 30}) == (E,)
    assert critical_path({}) == ()


@st.composite
def graphs(draw: st.DrawFn) -> dict[TaskId, list[TaskId]]:
    """Needs without cycles, whose order in the plan says nothing about the order of the run."""
    size = draw(st.integers(1, 12))
    names = [TaskId(f"t{i}") for i in range(size)]
    needs = {name: draw(st.lists(st.sampled_from(names[:i]), max_size=4)) if i else [] for i, name in enumerate(names)}
    return {name: needs[name] for name in draw(st.permutations(names))}


@given(needs=graphs())
def test_waves_and_critical_path_agree_with_the_needs_of_any_graph(needs: dict[TaskId, list[TaskId]]) -> None:
    levels = waves(needs)
    depth = {task: number for number, wave in enumerate(levels) for task in wave}
    path = critical_path(needs)

    assert sorted(depth) == sorted(needs)
    assert all(depth[task] == max((depth[need] + 1 for need in needs[task]), default=0) for task in needs)
    assert len(path) == len(levels)
    assert all(before in needs[task] for before, task in pairwise(path))


@given(st.dictionaries(st.sampled_from([A, B, C, D, E]), st.lists(st.sampled_from([A, B, C, D, E]), max_size=3)))
def test_a_cycle_is_told_where_there_is_one_and_nowhere_else(some: dict[TaskId, list[TaskId]]) -> None:
    needs = {task: some.get(task, []) for task in (A, B, C, D, E)}
    reach = {task: set(wanted) for task, wanted in needs.items()}
    for _ in needs:
        reach = {task: near.union(*(reach[other] for other in near)) for task, near in reach.items()}
    knots = {frozenset(other for other in reach[task] if task in reach[other]) for task in needs if task in reach[task]}

    cycles = find_cycles(needs)

    for cycle in cycles:
        assert cycle[0] == cycle[-1] == min(cycle)
        assert all(need in needs[task] for task, need in pairwise(cycle))
    assert {knot for knot in knots for cycle in cycles if knot.issuperset(cycle)} == knots
