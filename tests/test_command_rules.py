"""The queue of commands in any order of what can happen to it, against what is promised of each command."""

from collections import Counter, defaultdict

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocols.command_events import (
    CommandAccepted,
    CommandDone,
    CommandExpired,
    CommandFailed,
    CommandQueued,
    CommandWritten,
    QueueEvent,
)
from protocols.command_rules import RATE, RETRIES, UNKNOWN, Rules
from protocols.errors import QueueError
from protocols.ids import CommandId, TaskId
from protocols.queued import NewCommand, Queued, Restart, SendKeys, SendText, describe
from tests.memory_queue import MemoryQueue

__all__: list[str] = []

TASKS = (TaskId("a"), TaskId("b"))
AFTER: dict[type[QueueEvent], tuple[type[QueueEvent], ...]] = {
    CommandQueued: (CommandWritten, CommandFailed, CommandExpired),
    CommandWritten: (CommandAccepted, CommandFailed),
    CommandAccepted: (CommandDone, CommandFailed),
    CommandDone: (),
    CommandFailed: (),
    CommandExpired: (),
}


class Desk:
    """Rules with a clock to turn, and what arrived at the workers."""

    def __init__(self) -> None:
        self.store, self.at = MemoryQueue(), 1000.0
        self.running: dict[TaskId, int] = dict.fromkeys(TASKS, 1)
        self.restart()

    def restart(self) -> None:
        self.rules = Rules(store=self.store, now=lambda: self.at, random=lambda: 1.0)
        self.rules.recover()

    def enqueue(self, name: str, task: TaskId = TASKS[0], **fields: object) -> Queued:
        new = NewCommand(id=CommandId(name), task=task, action=SendText(text=name))
        return self.rules.enqueue(msgspec.structs.replace(new, **fields))

    def due(self) -> tuple[CommandId, ...]:
        return tuple(row.id for row in self.rules.due(self.running, self.ended).write)

    def wait(self) -> float:
        return self.rules.due(self.running, self.ended).wait

    def ended(self, task: TaskId, attempt: int) -> bool:
        return attempt < self.running[task]

    def state(self, name: str) -> str:
        return self.store.found[CommandId(name)].state


def test_a_command_goes_from_queued_to_done_with_one_event_for_each_state() -> None:
    desk = Desk()
    queued = desk.enqueue("one")

    assert desk.due() == (queued.id,)
    desk.rules.begin(queued.id, 1)
    desk.rules.written(queued.id)
    desk.rules.accepted(queued.id, "read")
    desk.rules.done(queued.id)

    assert [type(event) for event in desk.store.told] == [CommandQueued, CommandWritten, CommandAccepted, CommandDone]
    assert desk.state("one") == "done"


def test_what_is_sure_not_to_have_arrived_is_tried_three_times_more_after_growing_pauses() -> None:
    desk = Desk()
    queued = desk.enqueue("one")
    pauses = []
    for _ in range(1 + RETRIES):
        assert desk.due() == (queued.id,)
        desk.rules.begin(queued.id, 1)
        desk.rules.missed(queued.id, "full")
        pauses.append(desk.wait())
        desk.at += desk.wait() if desk.state("one") == "queued" else 0.0

    assert pauses[:RETRIES] == [0.5, 1.0, 2.0]
    assert desk.store.found[queued.id].reason == "full"
    assert [type(event) for event in desk.store.told] == [CommandQueued, CommandFailed]


def test_what_was_begun_when_callboard_was_killed_fails_as_unknown_and_is_never_written_again() -> None:
    desk = Desk()
    queued = desk.enqueue("one")
    desk.rules.begin(queued.id, 1)

    desk.restart()

    assert (desk.state("one"), desk.due()) == ("failed", ())
    assert desk.store.found[queued.id].reason == UNKNOWN


def test_what_may_arrive_twice_without_harm_is_written_again_after_callboard_was_killed() -> None:
    desk = Desk()
    queued = desk.enqueue("one")
    desk.rules.begin(queued.id, 1, harmless=True)

    desk.restart()

    assert desk.due() == (queued.id,)


def test_commands_for_one_worker_keep_their_order_while_others_do_not_wait_for_them() -> None:
    desk = Desk()
    one, two, other = desk.enqueue("one"), desk.enqueue("two"), desk.enqueue("other", TASKS[1])

    assert desk.due() == (one.id, other.id)
    desk.rules.begin(one.id, 1)
    assert desk.due() == (other.id,)
    desk.rules.missed(one.id, "full")
    assert desk.due() == (other.id,)
    desk.at += 10
    desk.rules.begin(one.id, 1)
    desk.rules.written(one.id)
    assert desk.due() == (two.id, other.id)


def test_a_worker_is_written_to_ten_times_at_once_and_ten_times_a_second() -> None:
    desk = Desk()
    names = [desk.enqueue(f"c{index}").id for index in range(30)]

    for name in names[:10]:
        assert desk.due() == (name,)
        desk.rules.begin(name, 1)
        desk.rules.written(name)

    assert (desk.due(), round(desk.wait(), 6)) == ((), 1 / RATE)
    desk.at += 0.11
    assert desk.due() == (names[10],)


def test_a_command_that_could_not_be_written_in_time_expires_and_one_for_an_attempt_that_is_over_fails() -> None:
    desk = Desk()
    late, bound = desk.enqueue("late", expires=5.0), desk.enqueue("bound", attempt=1)
    desk.running = {TASKS[1]: 1, TASKS[0]: 2}

    desk.at += 5.0

    assert desk.due() == ()
    assert (desk.state(late.id), desk.state(bound.id)) == ("expired", "failed")
    assert desk.store.found[bound.id].reason == "attempt 1 has ended"


def test_a_worker_that_does_not_run_gets_its_commands_when_it_does() -> None:
    desk = Desk()
    del desk.running[TASKS[0]]
    queued = desk.enqueue("one")

    assert (desk.due(), desk.wait()) == ((), 60.0)
    desk.running[TASKS[0]] = 1
    assert desk.due() == (queued.id,)


def test_the_same_id_again_is_the_same_command_and_for_another_text_it_is_refused() -> None:
    desk = Desk()
    first = desk.enqueue("one")

    assert desk.enqueue("one") == first
    with pytest.raises(QueueError, match="another one has this id"):
        desk.enqueue("one", action=SendText(text="two"))
    assert [type(event) for event in desk.store.told] == [CommandQueued]


def test_no_worker_has_more_than_256_open_commands() -> None:
    desk = Desk()
    for index in range(256):
        desk.enqueue(f"c{index}")

    with pytest.raises(QueueError, match="256 commands wait"):
        desk.enqueue("one more")
    desk.enqueue("other", TASKS[1])


def test_keys_are_shown_as_what_they_are() -> None:
    assert describe(SendKeys(data=b"\x1b[A\xff")) == "\\x1b[A\\xff"
    assert describe(Restart(grace=1.5)) == "grace 1.5 s"


class Queue(RuleBasedStateMachine):
    """Any order of verbs, kills and clock, also backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.arrived: Counter[CommandId] = Counter()
        self.order: dict[TaskId, list[int]] = defaultdict(list)
        self.count = 0

    @rule(task=st.sampled_from(TASKS), expires=st.sampled_from((0.5, 60.0)), attempt=st.sampled_from((0, 0, 1)))
    def enqueue(self, task: TaskId, expires: float, attempt: int) -> None:
        self.count += 1
        self.desk.enqueue(f"c{self.count}", task, expires=expires, attempt=attempt)

    @rule(seconds=st.floats(-5.0, 5.0))
    def turn_the_clock(self, seconds: float) -> None:
        self.desk.at += seconds

    @rule(data=st.data(), what=st.sampled_from(("arrives", "misses", "killed", "killed behind it")))
    def write(self, data: st.DataObject, what: str) -> None:
        due = self.desk.due()
        if not due:
            return
        name = data.draw(st.sampled_from(due))
        row = self.desk.store.found[name]
        assert self.desk.rules.begin(name, self.desk.running[row.task]) is not None
        assert self.desk.rules.begin(name, 1) is None
        if what in ("arrives", "killed behind it"):
            self.arrived[name] += 1
            self.order[row.task].append(row.number)
        match what:
            case "arrives":
                self.desk.rules.written(name)
            case "misses":
                self.desk.rules.missed(name, "full")
            case _:
                self.desk.restart()

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        rows = self.desk.store.unsettled()
        if rows:
            row = data.draw(st.sampled_from(rows))
            match data.draw(st.sampled_from(("accepted", "done", "failed"))):
                case "accepted":
                    self.desk.rules.accepted(row.id, "read")
                case "done":
                    self.desk.rules.done(row.id)
                case _:
                    self.desk.rules.failed(row.id, "gone")

    @rule(task=st.sampled_from(TASKS))
    def next_attempt(self, task: TaskId) -> None:
        self.desk.running[task] += 1

    @precondition(lambda self: self.count)
    @rule()
    def kill(self) -> None:
        self.desk.restart()

    @invariant()
    def nothing_arrives_twice_or_out_of_order(self) -> None:
        assert all(count == 1 for count in self.arrived.values())
        assert all(numbers == sorted(numbers) for numbers in self.order.values())

    @invariant()
    def what_is_told_is_what_happened(self) -> None:
        told: dict[CommandId, QueueEvent] = {}
        for event in self.desk.store.told:
            before = told.get(event.command)
            assert isinstance(event, CommandQueued) if before is None else type(event) in AFTER[type(before)]
            told[event.command] = event
        for name, row in self.desk.store.found.items():
            assert told[name].__struct_config__.tag == f"command.{row.state}"
            assert self.arrived[name] or row.state not in ("written", "accepted", "done")
            assert not (self.arrived[name] and row.state == "expired")
            assert row.tries <= 1 + RETRIES

    @invariant()
    def what_failed_after_it_arrived_says_that_it_may_have(self) -> None:
        for event in self.desk.store.told:
            if isinstance(event, CommandFailed) and self.arrived[event.command]:
                assert event.reason in (UNKNOWN, "gone")


Queue.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestQueue = Queue.TestCase
