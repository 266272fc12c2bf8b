import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cells import Size
from actors.live.allotment import Arrangement, arrange, divide, share
from protocols.board import Board, Notice
from protocols.events import Event, Record
from protocols.ids import TaskId
from tests.made_boards import make_board
from tests.made_events import records
from tests.made_fleets import AT, output, started, starting, status


def begun(task: str, *, size: int = 10) -> tuple[Event, ...]:
    return (status(task, "running"), starting(task), started(task), output(task, length=size))


def board(*, running: int = 0, failed: int = 0, pending: int = 0, silent: int = 0) -> Board:
    made: list[Event] = []
    made += [event for each in range(running) for event in begun(f"r{each}")]
    made += [event for each in range(silent) for event in begun(f"s{each}", size=0)]
    made += [status(f"f{each}", "failed") for each in range(failed)]
    made += [status(f"p{each}", "pending") for each in range(pending)]
    return make_board(made)


def kinds(arrangement: Arrangement) -> dict[str, int]:
    """How many of each kind are shown."""
    names = [slot.task[0] for slot in arrangement.slots]
    return {kind: names.count(kind) for kind in dict.fromkeys(names)}


def test_where_there_is_room_all_are_shown_and_those_that_wrote_something_with_their_last_lines() -> None:
    found = arrange(board(running=2, silent=1, pending=2), Size(100, 24), AT)

    assert [(slot.task, slot.tail) for slot in found.slots] == [("r0", 8), ("r1", 8), ("s0", 0), ("p0", 0), ("p1", 0)]
    assert found.hidden == ()


def test_where_there_are_more_running_than_rows_the_others_are_counted() -> None:
    found = arrange(board(running=64), Size(100, 24), AT)

    assert kinds(found) == {"r": 18}
    assert len(found.hidden) == 46
    assert {slot.tail for slot in found.slots} == {0}


def test_failed_ones_do_not_hide_those_that_run() -> None:
    found = arrange(board(running=30, failed=30), Size(100, 24), AT)

    assert kinds(found) == {"f": 4, "r": 14}


def test_failed_ones_get_what_nobody_else_needs() -> None:
    assert kinds(arrange(board(running=1, failed=30), Size(100, 24), AT)) == {"f": 9, "r": 1}
    assert kinds(arrange(board(failed=30), Size(100, 24), AT)) == {"f": 18}


def test_those_that_wait_leave_half_of_the_rows_to_what_the_running_ones_say() -> None:
    found = arrange(board(running=4, pending=200), Size(100, 24), AT)

    assert kinds(found) == {"r": 4, "p": 7}
    assert [slot.tail for slot in found.slots[:4]] == [7] * 4


@pytest.mark.parametrize(
    ("wanted", "rows", "given"),
    [([], 3, []), ([2, 0, 5], 4, [2, 0, 2]), ([8, 8, 8], 4, [2, 1, 1]), ([1, 1], 9, [1, 1]), ([3], -1, [0])],
)
def test_rows_are_shared_one_in_turn(wanted: list[int], rows: int, given: list[int]) -> None:
    assert share(wanted, rows) == given


def test_a_small_screen_keeps_its_rows_for_the_workers() -> None:
    noticed = board(running=1)
    noticed.notices.extend(Notice(AT, f"notice {number}") for number in range(5))

    rooms = {rows: divide(noticed, rows, AT) for rows in (1, 2, 3, 5, 10, 24)}

    assert {rows: room.blocks for rows, room in rooms.items()} == {1: 0, 2: 0, 3: 1, 5: 2, 10: 5, 24: 16}
    assert {rows: room.notices for rows, room in rooms.items()} == {1: 0, 2: 0, 3: 0, 5: 0, 10: 0, 24: 3}
    assert divide(noticed, 24, AT + 60).notices == 0
    noticed.say("journal", "it waits")
    assert {rows: divide(noticed, rows, AT + 60).notices for rows in (5, 6, 24)} == {5: 0, 6: 1, 24: 1}


@given(records, st.integers(1, 100), st.integers(1, 60))
def test_every_task_is_shown_or_hidden_and_the_rows_are_enough(found: list[Record], columns: int, rows: int) -> None:
    made = make_board(record.event for record in found)

    arrangement = arrange(made, Size(columns, rows), AT)

    shown = [slot.task for slot in arrangement.slots]
    assert sorted([*shown, *arrangement.hidden]) == sorted(made.view.tasks)
    assert len(shown) <= divide(made, rows, AT).blocks
    assert shown or rows < 3 or not made.view.tasks


def test_what_is_shown_stands_in_the_order_of_the_board() -> None:
    made = board(running=10, failed=10, pending=10)
    order = made.ordered(AT)

    found = arrange(made, Size(100, 20), AT)

    names: list[TaskId] = [slot.task for slot in found.slots]
    assert names == sorted(names, key=order.index)
