"""The order of tasks, the skips and the caps, on graphs of any shape."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.graph import Admission, Graph, Skip, Step, critical_path, find_cycles, waves
from protocols.ids import TaskId
from protocols.needs import Condition

A, B, C, D, E = (TaskId(name) for name in "abcde")
DIAMOND: dict[TaskId, Sequence[TaskId]] = {A: [], B: [A], C: [A], D: [B, C], E: []}
LONG = 10_000


def chain(length: int) -> dict[TaskId, list[TaskId]]:
    return {TaskId(f"t{i}"): [TaskId(f"t{i - 1}")] if i else [] for i in range(length)}


def test_a_run_begins_with_the_tasks_that_need_nothing() -> None:
    assert Graph(DIAMOND).ready() == (A, E)


def test_a_task_is_ready_when_its_last_need_is_done() -> None:
    graph = Graph(DIAMOND)

    assert graph.finish(A, True) == Step(ready=(B, C))
    assert graph.finish(C, True) == Step()
    assert graph.finish(B, True) == Step(ready=(D,))


def test_a_failure_skips_all_dependents_and_names_the_need_and_the_cause() -> None:
    graph = Graph(DIAMOND)
    graph.finish(A, True)

    assert graph.finish(B, False) == Step(skipped=(Skip(D, need=B, cause=B),))
    assert Graph(DIAMOND).finish(A, False).skipped == (Skip(B, A, A), Skip(C, A, A), Skip(D, B, A))


def test_a_task_that_was_skipped_does_not_become_ready_later() -> None:
    graph = Graph(DIAMOND)
    graph.finish(A, True)
    graph.finish(B, False)

    assert graph.finish(C, True) == Step()
    assert graph.unfinished == (E,)


def test_an_allowed_failure_counts_as_done_for_dependents() -> None:
    graph = Graph(DIAMOND, allow_failure={A})

    assert graph.finish(A, False) == Step(ready=(B, C))


def test_two_failures_skip_a_common_dependent_once() -> None:
    graph = Graph({A: [], B: [], C: [A, B]})

    assert graph.finish(B, False) == Step(skipped=(Skip(C, B, B),))
    assert graph.finish(A, False) == Step()


def test_needs_named_twice_count_once() -> None:
    graph = Graph({A: [], B: [A, A]})

    assert graph.finish(A, True) == Step(ready=(B,))


def test_an_outcome_out_of_turn_is_refused() -> None:
    graph = Graph(DIAMOND)
    graph.finish(A, True)

    for task in (A, D):
        with pytest.raises(ValueError, match="was not ready, or has finished before"):
            graph.finish(task, True)


def test_ten_thousand_tasks_in_a_chain_need_no_recursion() -> None:
    needs = chain(LONG)
    first, last = TaskId("t0"), TaskId(f"t{LONG - 1}")

    assert len(waves(needs)) == LONG
    assert len(critical_path(needs)) == LONG
    assert find_cycles(needs) == []
    assert len(Graph(needs).finish(first, False).skipped) == LONG - 1
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


def test_admission_gives_no_more_than_the_total() -> None:
    admission = Admission(DIAMOND, 2, {}, {})

    assert admission.take([A, B, C]) == [A, B]
    assert admission.take() == []
    admission.release(A)
    assert admission.take([D]) == [C]
    assert (admission.running, admission.waiting) == (2, 1)


def test_a_role_at_its_cap_holds_up_nobody_else() -> None:
    admission = Admission(DIAMOND, 3, {A: ["lint"], B: ["lint"], C: ["test"], D: []}, {"lint": 1})

    assert admission.take([A, B, C, D]) == [A, C, D]
    admission.release(C)
    assert admission.take() == []
    admission.release(A)
    assert admission.take() == [B]


def test_who_comes_first_in_the_plan_starts_first() -> None:
    admission = Admission(DIAMOND, 1, {}, {})

    assert admission.take([E]) == [E]
    assert admission.take([D, B]) == []
    admission.release(E)
    assert admission.take([C]) == [B]


def test_a_task_may_come_again_after_its_release() -> None:
    admission = Admission(DIAMOND, 1, {}, {})
    admission.take([A])
    admission.release(A)

    assert admission.take([A]) == [A]


def test_fewer_may_start_than_there_are_slots_and_the_others_are_known() -> None:
    admission = Admission(DIAMOND, 3, {A: ["lint"], B: ["lint"], C: ["test"], D: []}, {"lint": 1})

    assert admission.take([A, B, C, D], 1) == [A]
    assert admission.held() == [C, D]
    assert admission.take(most=0) == []
    assert admission.take(most=1) == [C]
    assert admission.held() == [D]
    admission.release(A)
    assert admission.held() == [B, D] == admission.take()


def test_a_slot_is_neither_taken_nor_given_back_twice() -> None:
    admission = Admission(DIAMOND, 1, {}, {})
    admission.take([A, B])

    for task in (A, B):
        with pytest.raises(ValueError, match="waits or runs already"):
            admission.take([task])
    with pytest.raises(ValueError, match="holds no slot"):
        admission.release(B)


@st.composite
def graphs(draw: st.DrawFn) -> dict[TaskId, list[TaskId]]:
    """Needs without cycles, whose order in the plan says nothing about the order of the run."""
    size = draw(st.integers(1, 12))
    names = [TaskId(f"t{i}") for i in range(size)]
    needs = {name: draw(st.lists(st.sampled_from(names[:i]), max_size=4)) if i else [] for i, name in enumerate(names)}
    return {name: needs[name] for name in draw(st.permutations(names))}


@given(needs=graphs(), data=st.data())
def test_every_task_of_any_graph_ends_once_in_order_and_within_the_caps(
    needs: dict[TaskId, list[TaskId]], data: st.DataObject
) -> None:
    fails = data.draw(st.sets(st.sampled_from(list(needs))), label="fails")
    allowed = data.draw(st.sets(st.sampled_from(list(needs))), label="allowed")
    conditions = {
        task: {need: data.draw(st.sampled_from(get_args(Condition))) for need in wanted}
        for task, wanted in needs.items()
    }
    labels = {task: data.draw(st.sets(st.sampled_from(["x", "y", "z"]))) for task in needs}
    priorities = {task: data.draw(st.integers(-1, 1)) for task in needs}
    caps = data.draw(st.dictionaries(st.sampled_from(["x", "y"]), st.integers(1, 3)), label="caps")
    total = data.draw(st.integers(1, 4), label="total")
    graph, admission = Graph(needs, allowed, conditions), Admission(needs, total, labels, caps, priorities)
    running, ends = set(admission.take(graph.ready())), dict[TaskId, str]()

    def meets(task: TaskId) -> bool:
        good: dict[Condition, Callable[[TaskId], bool]] = {
            "success": lambda need: ends.get(need) == "good" or (ends.get(need) == "bad" and need in allowed),
            "failure": lambda need: ends.get(need) == "bad",
            "end": lambda need: need in ends,
        }
        return all(good[condition](need) for need, condition in conditions[task].items())

    def may_start(task: TaskId) -> bool:
        full = {label for label, cap in caps.items() if sum(label in labels[other] for other in running) >= cap}
        return len(running) < total and not full & labels[task] and meets(task) and task not in running | ends.keys()

    while running:
        assert len(running) <= total
        assert all(sum(label in labels[task] for task in running) <= cap for label, cap in caps.items())
        assert not [task for task in needs if may_start(task)], "a task waits although nothing holds it up"
        task = data.draw(st.sampled_from(sorted(running)))
        running.discard(task)
        ends[task] = "bad" if task in fails else "good"
        admission.release(task)
        step = graph.finish(task, task not in fails)
        ends |= dict.fromkeys((skip.task for skip in step.skipped), "skipped")
        assert all(skip.need in needs[skip.task] and ends[skip.cause] != "skipped" for skip in step.skipped)
        assert not any(meets(skip.task) for skip in step.skipped)
        started = admission.take(step.ready)
        assert all(map(meets, started))
        assert not running & set(started)
        running |= set(started)

    assert ends.keys() == needs.keys()
    assert graph.unfinished == () and (admission.running, admission.waiting) == (0, 0)


def test_a_task_may_want_the_failure_of_another_or_just_its_end() -> None:
    after: dict[TaskId, dict[TaskId, Condition]] = {B: {A: "failure"}, C: {A: "end"}, D: {B: "end"}}
    needs: dict[TaskId, Sequence[TaskId]] = {A: [], B: [A], C: [A], D: [B]}

    assert Graph(needs, on=after).finish(A, False) == Step(ready=(B, C))
    assert Graph(needs, on=after).finish(A, True) == Step(ready=(C, D), skipped=(Skip(B, A, A),))
    assert Graph(needs, [A], after).finish(A, False) == Step(ready=(B, C))


def test_the_greatest_priority_starts_first_whatever_the_order() -> None:
    admission = Admission(DIAMOND, 1, {}, {}, {D: 5, E: 5, A: -1})

    assert admission.take([A, B, C, D, E]) == [D]
    admission.release(D)
    assert admission.held() == [E]
    assert admission.take(most=2) == [E]


def test_a_task_with_several_labels_is_held_up_by_each_of_them() -> None:
    admission = Admission(DIAMOND, 5, {A: ["x"], B: ["x", "y"], C: ["y"], D: ["y"]}, {"x": 1, "y": 2})

    assert admission.take([A, B, C, D, E]) == [A, C, D, E]
    admission.release(A)
    assert admission.take() == []
    admission.release(C)
    assert admission.take() == [B]


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
