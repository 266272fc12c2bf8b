"""What acts is recorded with who, what and answer, and done once for each key, whatever happens to who asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.journal_file import read_records
from protocols.call_events import CallAnswered, CallAsked, CallRecord
from protocols.commands import Command, Done, SpawnWorker, StopTask
from protocols.ids import TaskId
from protocols.jsonrpc import FORBIDDEN, INTERNAL_ERROR, REFUSED, CallError
from protocols.task_events import TasksSubmitted
from tests.made_fleets import AT
from tests.port_rig import ADMIN, READER, PortRig, open_fleet


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


async def test_what_one_may_not_do_uses_up_no_key_of_one_who_may(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as before:
        with pytest.raises(CallError, match="it takes the scope operate"):
            await before.call("worker.stop", READER, task="lint", key="k1")
        done = await before.call("worker.stop", task="lint", key="k1")
        with pytest.raises(CallError, match="it takes the scope operate"):
            await before.call("worker.stop", READER, task="lint", key="k1")

    async with open_fleet(tmp_path, ()) as fleet:
        again = await fleet.call("worker.stop", task="lint", key="k1")

    assert isinstance(done, Done) and again == done and len(before.commander.asked) == 1


async def test_a_key_holds_behind_a_restart_of_the_supervisor(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as before:
        done = await before.call("worker.stop", task="lint", key="k1")

    async with open_fleet(tmp_path, ()) as fleet:
        again = await fleet.call("worker.stop", task="lint", key="k1")
        await fleet.call("worker.stop", task="lint")
        numbers = [event.number for event in _calls(fleet)]

    assert isinstance(done, Done) and again == done
    assert len(fleet.commander.asked) == 1 and numbers == [1, 1, 2, 2]


async def test_a_mistake_in_one_call_is_its_answer_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(command: Command, *, pid: int = 0) -> Done:
        raise OSError("the disk is full")

    async with open_fleet(tmp_path) as fleet:
        with monkeypatch.context() as broken:
            broken.setattr(fleet.commander, "carry_out", fail)
            with pytest.raises(CallError, match="the disk is full") as caught:
                await fleet.call("worker.stop", task="lint")
        done = await fleet.call("worker.stop", task="lint")

    assert caught.value.code == INTERNAL_ERROR and isinstance(done, Done)


async def test_who_ends_the_fleet_is_told_so_however_fast_it_ends(tmp_path: Path) -> None:
    answers: list[object] = []

    async def ask(fleet: PortRig) -> None:
        answers.append(await fleet.call("system.shutdown"))

    async with trio.open_nursery() as nursery, open_fleet(tmp_path) as fleet:
        fleet.commander.gate = trio.Event()
        nursery.start_soon(ask, fleet)
        await fleet.commander.began.wait()

    assert answers == [Done()]


@asynccontextmanager
async def _killed_before_the_answer(root: Path, method: str, **params: object) -> AsyncIterator[PortRig]:
    """The next supervisor of a fleet whose supervisor ended while it did what ``method`` wants."""
    async with open_fleet(root) as before, trio.open_nursery() as nursery:
        before.commander.gate = trio.Event()
        nursery.start_soon(partial(before.call, method, key="k1", **params))
        await before.commander.began.wait()
        nursery.cancel_scope.cancel(reason="the supervisor is killed")
    async with open_fleet(root, ()) as fleet:
        yield fleet


async def test_what_could_be_done_twice_is_not_done_again_where_a_supervisor_ended_before_it_answered(
    tmp_path: Path,
) -> None:
    async with _killed_before_the_answer(tmp_path, "worker.restart", task="lint") as fleet:
        with pytest.raises(CallError, match="nobody knows whether it was done") as caught:
            await fleet.call("worker.restart", task="lint", key="k1")

    assert caught.value.code == REFUSED and fleet.commander.asked == []


async def test_what_is_the_same_twice_is_done_again_where_a_supervisor_ended_before_it_answered(tmp_path: Path) -> None:
    async with _killed_before_the_answer(tmp_path, "worker.stop", task="lint") as fleet:
        first = await fleet.call("worker.stop", task="lint", key="k1")
        again = await fleet.call("worker.stop", task="lint", key="k1")

    assert len(fleet.commander.asked) == 1 and first == again


@pytest.mark.parametrize("method", ["worker.spawn", "run.submit"])
async def test_a_task_that_was_submitted_is_the_answer_where_a_supervisor_ended_before_it_gave_it(
    tmp_path: Path, method: str
) -> None:
    params = {"cwd": "/", **({"task": {"command": ["true"]}} if method == "worker.spawn" else {"plan": ""})}
    async with _killed_before_the_answer(tmp_path, method, **params) as fleet:
        await fleet.call(method, **params, key="k1")
        carried_out = len(fleet.commander.asked)
    async with _killed_before_the_answer(tmp_path / "2", method, **params) as fleet:
        await fleet.commander.put(TasksSubmitted(at=AT, tasks=(TaskId("true-2"),), key="k1"))
    async with open_fleet(tmp_path / "2", ()) as fleet:
        found = await fleet.call(method, **params, key="k1")

    assert carried_out == 1
    assert found.task == "true-2" and fleet.commander.asked == []


async def _swallow(fleet: PortRig) -> None:
    await fleet.call("worker.stop", task="lint", key="k1")


async def test_what_was_begun_is_done_although_who_asked_is_gone_and_comes_back_for_the_answer(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        fleet.commander.gate = gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_swallow, fleet)
            await fleet.commander.began.wait()
            nursery.cancel_scope.cancel(reason="the client is gone")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_swallow, fleet)
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
