"""What is done about workers that stand still: each step once, on record, and only where it can be done."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.messages import Append
from actors.orders import Answer, Decision, InterruptWorker, Order, SendInput
from actors.remedies import Care, Deed, Remedies
from protocols.errors import SpawnError
from protocols.events import WorkerAction
from protocols.ids import TaskId, WorkerId
from protocols.keeper_inputs import Written
from protocols.liveness_actions import Ladder, Remedy
from protocols.liveness_states import Action, State
from protocols.plan import Stdin, Task
from protocols.pulse import Pulse
from protocols.silence import Watch
from protocols.verdict import Verdict

A = WorkerId("a")
ALL: tuple[Action, ...] = ("tell", "nudge", "interrupt", "restart", "fail")


def verdict(now: float, state: State = "stalled") -> Verdict:
    watch = Watch(now=now, wall=now, sign=0.0, unseen=0.0, broken_at=0.0, trouble=(), exited=False, said="")
    return Verdict(state, state != "quiet", (), 0.0, 0.0, watch)


@dataclass
class Stage:
    """A worker and those who do something about it."""

    care: Care
    refuses: str = ""
    orders: list[Order] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    records: list[WorkerAction] = field(default_factory=list)
    pulse: Pulse = field(default_factory=lambda: Pulse(A, 2, "pty", 0.0))

    async def play(self, *verdicts: Verdict, before: Sequence[WorkerAction] = ()) -> list[Action]:
        """Do what follows from these verdicts; what was done."""
        orders, to_roster = trio.open_memory_channel[Order](4)
        decisions, to_orchestrator = trio.open_memory_channel[Decision](4)
        outbox, to_journal = trio.open_memory_channel[Append](4)
        remedies = Remedies(care=lambda _: self.care, orders=orders, decisions=decisions, now=lambda: 1000.0)
        for action in before:
            remedies.remember(action)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer, to_roster)
            async with orders, decisions, outbox:
                for each in verdicts:
                    self.pulse.verdict = each
                    for deed in remedies.choose(self.pulse):
                        await remedies.do(deed, outbox)
                        event = to_journal.receive_nowait().event
                        assert isinstance(event, WorkerAction)
                        self.records.append(event)
                    while to_orchestrator.statistics().current_buffer_used:
                        self.decisions.append(to_orchestrator.receive_nowait())
        return [record.action for record in self.records if not record.failed]

    async def _answer(self, inbox: trio.MemoryReceiveChannel[Order]) -> None:
        async for order in inbox:
            self.orders.append(order)
            assert isinstance(order, SendInput | InterruptWorker)
            size = len(order.data) if isinstance(order, SendInput) else 0
            error = SpawnError(self.refuses, "EAGAIN") if self.refuses else None
            await order.answer.send(Answer(msgspec.json.encode(Written(size)), error))


def care(*steps: Action, terminal: bool = True, has_input: bool = True) -> Care:
    return Care(Ladder(steps=steps or ALL, pause=60.0), "wake up", terminal, has_input)


async def test_each_step_is_taken_once_recorded_and_passed_on_to_who_can_do_it(autojump_clock: MockClock) -> None:
    stage = Stage(care())

    done = await stage.play(*(verdict(300.0 + 5 * number) for number in range(100)))

    assert done == list(ALL)
    assert [order.data for order in stage.orders if isinstance(order, SendInput)] == [b"wake up", b"\r"]
    assert [order.attempt for order in stage.orders if isinstance(order, InterruptWorker)] == [2]
    ends = [(each.task, each.attempt, each.action) for each in stage.decisions if isinstance(each, Remedy)]
    assert ends == [(TaskId("a"), 2, "restart"), (TaskId("a"), 2, "fail")]
    assert all(record.reason.startswith("silent for ") and record.attempt == 2 for record in stage.records)


@pytest.mark.parametrize("state", ["quiet", "working", "unknown", "waiting-permission", "complete"])
async def test_nothing_is_done_about_a_suspicion_or_another_state(autojump_clock: MockClock, state: State) -> None:
    stage = Stage(care())

    assert await stage.play(*(verdict(300.0 + 60 * number, state) for number in range(20))) == []


async def test_nothing_is_done_about_a_worker_whose_end_has_begun(autojump_clock: MockClock) -> None:
    stage = Stage(care())
    stage.pulse.stopping = True

    assert await stage.play(verdict(300.0), verdict(400.0)) == []


async def test_a_worker_without_input_is_not_nudged_which_is_said_once(autojump_clock: MockClock) -> None:
    stage = Stage(care("nudge", "interrupt", terminal=False, has_input=False))

    done = await stage.play(*(verdict(300.0 + 60 * number) for number in range(5)))

    assert done == ["interrupt"]
    assert [(record.action, record.failed) for record in stage.records] == [
        ("nudge", "it has no input"),
        ("interrupt", ""),
    ]


async def test_where_nothing_else_is_left_to_do_that_is_said_once_too(autojump_clock: MockClock) -> None:
    stage = Stage(care("nudge", terminal=False, has_input=False))

    assert await stage.play(*(verdict(300.0 + 60 * number) for number in range(5))) == []

    assert [record.failed for record in stage.records] == ["it has no input"]


async def test_a_nudge_that_does_not_arrive_is_recorded_with_the_reason(autojump_clock: MockClock) -> None:
    stage = Stage(care("nudge"), refuses="its input is full")

    await stage.play(verdict(300.0))

    assert [(record.action, record.failed) for record in stage.records] == [("nudge", "its input is full")]


async def test_what_an_earlier_supervisor_did_counts(autojump_clock: MockClock) -> None:
    restarted = WorkerAction(at=1.0, worker=A, attempt=1, action="restart", reason="")
    in_vain = WorkerAction(at=1.0, worker=A, attempt=1, action="interrupt", reason="", failed="it has ended")
    ours = WorkerAction(at=2000.0, worker=A, attempt=1, action="interrupt", reason="")
    stage = Stage(care("interrupt", "restart", "fail"))

    done = await stage.play(
        *(verdict(300.0 + 60 * number) for number in range(5)), before=[*[restarted] * 3, *[in_vain] * 3, *[ours] * 3]
    )

    assert done == ["interrupt", "fail"]


async def test_who_has_decided_already_is_not_waited_for(autojump_clock: MockClock) -> None:
    decisions, inbox = trio.open_memory_channel[Decision](0)
    orders, _ = trio.open_memory_channel[Order](0)
    outbox, records = trio.open_memory_channel[Append](1)
    inbox.close()

    remedies = Remedies(care=lambda _: care(), orders=orders, decisions=decisions)
    await remedies.do(Deed(A, 1, "fail", "silent"), outbox)

    assert records.receive_nowait()


def test_the_care_for_a_task_is_what_its_plan_says() -> None:
    on_terminal = Care.of(Task(id=TaskId("a"), command=("x",), source="pty", quiet_after=300.0, nudge="y"))
    on_pipe = Care.of(Task(id=TaskId("a"), command=("x",), stdin=Stdin("pipe"), on_stalled=("fail",)))
    without = Care.of(Task(id=TaskId("a"), command=("x",), stalled_pause=5.0))

    assert (on_terminal.terminal, on_terminal.has_input, on_terminal.nudge) == (True, True, "y")
    assert on_terminal.ladder.health == 600.0
    assert (on_pipe.terminal, on_pipe.has_input, on_pipe.ladder.steps) == (False, True, ("fail",))
    assert (without.terminal, without.has_input, without.ladder.pause) == (False, False, 5.0)
