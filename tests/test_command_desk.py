"""What acts is recorded with who, what and answer, and done once for each key, whatever happens to who asked."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.journal_file import last_seq, read_records
from protocols.call_events import CallAnswered, CallAsked, CallRecord
from protocols.commands import Command, Done, SpawnWorker, StopTask
from protocols.events import Event, RunResumed
from protocols.ids import TaskId
from protocols.jsonrpc import FORBIDDEN, REFUSED, CallError
from protocols.layout import FleetFolder
from protocols.task_events import TasksSubmitted
from tests.made_fleets import AT
from tests.port_rig import ADMIN, READER, TREE, PortRig, open_fleet


def _calls(fleet: PortRig) -> list[CallRecord]:
    events = [record.event for record in read_records(fleet.folder.journal)]
    return [event for event in events if isinstance(event, CallAsked | CallAnswered)]


async def test_a_call_is_recorded_before_its_effect_and_its_answer_behind_it(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        await fleet.call("worker.stop", task="lint", reason="enough")
        tags = [str(record.event.__struct_config__.tag) for record in read_records(fleet.folder.journal)][-3:]

        asked, answered = _calls(fleet)

    assert tags == ["call.asked", "task.status_changed", "call.answered"]
    assert isinstance(asked, CallAsked) and isinstance(answered, CallAnswered)
    assert (asked.method, asked.who, asked.about, asked.at) == ("worker.stop", "user 0", "lint", AT + 10)
    assert asked.text == '{"task":"lint","reason":"enough"}'
    assert (answered.number, answered.task, answered.code) == (asked.number, "lint", 0)


async def test_what_is_refused_or_forbidden_is_recorded_too(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        for task, peer in (("no", ADMIN), ("lint", READER)):
            with pytest.raises(CallError):
                await fleet.call("worker.stop", peer, task=task)

        answers = [(event.who, event.code) for event in _calls(fleet) if isinstance(event, CallAnswered)]

    assert answers == [("user 0", REFUSED), ("token reader", FORBIDDEN)]
    assert fleet.commander.asked == [StopTask(task="no")]


async def test_a_key_is_good_for_one_call_however_often_it_comes(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        first = await fleet.call("worker.stop", task="lint", key="k1")
        again = await fleet.call("worker.stop", task="lint", key="k1")
        with pytest.raises(CallError, match="used for another call"):
            await fleet.call("worker.stop", task="build", key="k1")
        with pytest.raises(CallError, match="used for another call"):
            await fleet.call("task.cancel", task="lint", key="k1")
        await fleet.call("worker.stop", task="lint", key="k2")

    assert first == again and len(fleet.commander.asked) == 2


async def test_a_refusal_is_the_answer_of_its_key_too(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        for _ in range(2):
            with pytest.raises(CallError, match="not now"):
                await fleet.call("worker.stop", task="no", key="k1")

    assert len(fleet.commander.asked) == 1


async def test_a_key_holds_behind_a_restart_of_the_supervisor(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as before:
        done = await before.call("worker.stop", task="lint", key="k1")

    async with open_fleet(tmp_path, ()) as fleet:
        again = await fleet.call("worker.stop", task="lint", key="k1")
        await fleet.call("worker.stop", task="lint")
        numbers = [event.number for event in _calls(fleet)]

    assert isinstance(done, Done) and again == done
    assert len(fleet.commander.asked) == 1 and numbers == [1, 1, 2, 2]


async def test_who_ends_the_fleet_is_told_so_however_fast_it_ends(tmp_path: Path) -> None:
    answers: list[object] = []

    async def ask(fleet: PortRig) -> None:
        answers.append(await fleet.call("system.shutdown"))

    async with trio.open_nursery() as nursery, open_fleet(tmp_path) as fleet:
        fleet.commander.gate = trio.Event()
        nursery.start_soon(ask, fleet)
        await fleet.commander.began.wait()

    assert answers == [Done()]


async def test_a_call_that_had_no_answer_when_the_supervisor_ended_is_not_done_again(tmp_path: Path) -> None:
    await _kill_while(tmp_path, "worker.restart", task="lint", key="k1")

    async with open_fleet(tmp_path, ()) as fleet:
        with pytest.raises(CallError, match="nobody knows whether it was done") as caught:
            await fleet.call("worker.restart", task="lint", key="k1")

    assert caught.value.code == REFUSED and fleet.commander.asked == []


_X: dict[str, object] = {"task": {"id": "x", "command": ["true"]}, "cwd": "/", "key": "k1"}


async def test_a_task_that_was_made_before_the_supervisor_ended_is_the_answer_to_who_asks_again(tmp_path: Path) -> None:
    seq = await _kill_while(tmp_path, "worker.spawn", TasksSubmitted(at=AT, tasks=(TaskId("x"),)), **_X)

    async with open_fleet(tmp_path, ()) as fleet:
        again = await fleet.call("worker.spawn", **_X)

    assert again == Done(task="x", seq=seq) and fleet.commander.asked == []


@pytest.mark.parametrize(("method", "params"), [("worker.spawn", _X), ("worker.stop", {"task": "lint", "key": "k1"})])
async def test_what_the_journal_shows_as_not_done_is_done_for_who_asks_again(
    tmp_path: Path, method: str, params: dict[str, object]
) -> None:
    await _kill_while(tmp_path, method, TasksSubmitted(at=AT, tasks=(TaskId("y"),)), **params)

    async with open_fleet(tmp_path, ()) as fleet:
        await fleet.call(method, **params)

    assert len(fleet.commander.asked) == 1


async def test_of_two_that_asked_for_the_same_task_nobody_knows_whose_it_was(tmp_path: Path) -> None:
    other = {**_X, "key": "k2", "cwd": "/tmp"}
    async with open_fleet(tmp_path) as before, trio.open_nursery() as nursery:
        before.commander.gate = trio.Event()
        for params in (_X, other):
            nursery.start_soon(_ask, before, "worker.spawn", params)
            await wait_all_tasks_blocked()
        await before.commander.put(TasksSubmitted(at=AT, tasks=(TaskId("x"),)))
        nursery.cancel_scope.cancel(reason="the supervisor is killed")

    async with open_fleet(tmp_path, ()) as fleet:
        for params in (_X, other):
            with pytest.raises(CallError, match="nobody knows"):
                await fleet.call("worker.spawn", **params)

    assert fleet.commander.asked == []


async def test_what_an_earlier_supervisor_left_undone_is_not_done_by_who_asks_for_the_same_later(
    tmp_path: Path,
) -> None:
    await _kill_while(tmp_path, "worker.spawn", RunResumed(at=AT, epoch=2, pid=2, version="1"), **_X)
    made = TasksSubmitted(at=AT, tasks=(TaskId("x"),))
    other = {**_X, "key": "k2"}
    seq = await _kill_while(tmp_path, "worker.spawn", made, **other)

    async with open_fleet(tmp_path, ()) as fleet:
        again = await fleet.call("worker.spawn", **other)
        await fleet.call("worker.spawn", **_X)

    assert again == Done(task="x", seq=seq)
    assert len(fleet.commander.asked) == 1


async def _kill_while(root: Path, method: str, event: Event | None = None, **params: object) -> int:
    """End the fleet while a call is carried out, behind this event. Return the number of its last record."""
    begun = FleetFolder(root).journal.exists()
    async with open_fleet(root, () if begun else TREE) as before, trio.open_nursery() as nursery:
        before.commander.gate = trio.Event()
        nursery.start_soon(_ask, before, method, params)
        await before.commander.began.wait()
        if event is not None:
            await before.commander.put(event)
        nursery.cancel_scope.cancel(reason="the supervisor is killed")
    return last_seq(before.folder.journal)


async def test_what_was_begun_is_done_although_who_asked_is_gone_and_comes_back_for_the_answer(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        fleet.commander.gate = gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask, fleet, "worker.stop", {"task": "lint", "key": "k1"})
            await fleet.commander.began.wait()
            nursery.cancel_scope.cancel(reason="the client is gone")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask, fleet, "worker.stop", {"task": "lint", "key": "k1"})
            await wait_all_tasks_blocked()
            gate.set()

    assert len(fleet.commander.asked) == 1


async def test_secrets_and_long_texts_of_a_command_are_not_in_its_record(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        task = {"id": "x", "command": ["true"], "env": {"KEY": "hunter2hunter2"}, "title": "y" * 1000}
        await fleet.call("worker.spawn", task=task, cwd="/")
        await fleet.call("run.submit", plan="[[tasks]]" * 100, cwd="/", name="p.toml")
        texts = [event.text for event in _calls(fleet) if isinstance(event, CallAsked)]

    assert "hunter2" not in texts[0] and len(texts[0]) == 500
    assert texts[1] == '{"cwd":"/","name":"p.toml"}'
    commands: list[Command] = fleet.commander.asked
    assert isinstance(commands[0], SpawnWorker) and commands[0].task == task


async def _ask(fleet: PortRig, method: str, params: Mapping[str, object]) -> None:
    await fleet.call(method, **params)
