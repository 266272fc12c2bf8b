"""What is told of a fleet at its port: of its whole tree, by names and numbers that hold."""

from pathlib import Path

import msgspec
import pytest

from protocols.commands import CancelTask, RetryTask, StopTask
from protocols.events import WorkerOutput
from protocols.ids import WorkerId
from protocols.jsonrpc import FORBIDDEN, INVALID_PARAMS, METHOD_NOT_FOUND, NOT_FOUND, REFUSED, CallError
from protocols.port_methods import METHODS
from tests.made_fleets import AT, exited, output
from tests.port_rig import ADMIN, READER, TREE, open_fleet


async def test_tasks_of_instances_are_told_with_those_of_the_fleet(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        every = await fleet.call("task.list")
        below = await fleet.call("task.list", run="bbbbbbbb")
        again = await fleet.call("task.list", run="build", status=["running"])
        none = await fleet.call("worker.list", status=["failed"])

    assert [line.task for line in every.tasks] == ["build", "build/deep", "lint"]
    assert [line.task for line in below.tasks] == ["build/deep"] and again.tasks == below.tasks
    assert every.last_seq == len(TREE) and none.workers == ()


async def test_a_worker_is_told_with_the_run_that_it_belongs_to(tmp_path: Path) -> None:
    async with open_fleet(tmp_path, [*TREE, output("lint", length=5), exited("lint", code=3)]) as fleet:
        deep = await fleet.call("worker.get", task="build/deep")
        lint = await fleet.call("task.get", task="lint")

    assert (deep.run, deep.argv, deep.seconds) == ("bbbbbbbb", ("true",), 10.0)
    assert (lint.run, lint.code, lint.end, lint.streams[0].size) == ("aaaaaaaa", 3, "exit code 3", 5)


async def test_runs_and_instances_are_found_by_the_id_of_the_run_and_by_the_name_of_the_task(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        runs = await fleet.call("run.list")
        by_id, by_name = await fleet.call("run.get", run="bbbbbbbb"), await fleet.call("run.get", run="build")
        (instance,) = (await fleet.call("instance.list")).instances
        same = await fleet.call("instance.get", instance="bbbbbbbb")

    assert [(run.task, run.run, run.status) for run in runs.runs] == [
        (".", "aaaaaaaa", "running"),
        ("build", "bbbbbbbb", "running"),
    ]
    assert by_id == by_name and [line.task for line in by_id.tasks] == ["build/deep"]
    assert same == instance and instance.folder == str(tmp_path / "instances/build/runs/bbbbbbbb")


async def test_the_report_of_a_run_is_its_file(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        with pytest.raises(CallError, match="no report yet") as caught:
            await fleet.call("run.report", run=".")
        fleet.folder.report_json.write_bytes(b'{"outcome":"failed"}')
        report = await fleet.call("run.report", run="aaaaaaaa")

    assert caught.value.code == NOT_FOUND
    assert bytes(report.report) == b'{"outcome":"failed"}' and report.path == str(tmp_path / "report.json")


async def test_info_and_health_tell_who_asks_and_what_is_wrong(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        info, health = await fleet.call("system.info", READER), await fleet.call("system.health")

    assert (info.run, info.last_seq, info.who, info.scope) == ("aaaaaaaa", len(TREE), "token reader", "read")
    assert (health.status, health.seconds, health.counts) == ("ok", 10.0, {"running": 3})


@pytest.mark.parametrize(
    ("start", "length", "begin", "data"),
    [
        (0, 4, 0, b"0123"),
        (6, 100, 6, b"6789"),
        (-3, 2, 7, b"78"),
        (-50, 2, 0, b"01"),
        (10, 5, 10, b""),
        (2**64, 5, 2**64, b""),
    ],
)
async def test_output_is_read_by_its_place_in_the_stream(
    tmp_path: Path, start: int, length: int, begin: int, data: bytes
) -> None:
    spool = tmp_path / "instances/build/runs/bbbbbbbb/spool/deep/1/stdout"
    spool.parent.mkdir(parents=True)
    spool.write_bytes(b"0123456789")

    async with open_fleet(tmp_path) as fleet:
        part = await fleet.call("worker.output", task="build/deep", start=start, length=length)

    assert (part.start, part.data, part.size, part.ended, part.stream) == (begin, data, 10, False, "stdout")


async def test_output_that_is_not_there_is_refused_with_what_there_is(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        for params, what in (
            ({"task": "lint", "attempt": 2}, "no attempt 2; the last is 1"),
            ({"task": "lint", "stream": "terminal"}, "no terminal; it has stdout, stderr"),
            ({"task": "lnt"}, 'did you mean "lint"'),
        ):
            with pytest.raises(CallError, match=what) as caught:
                await fleet.call("worker.output", **params)
            assert caught.value.code == NOT_FOUND
        empty = await fleet.call("worker.output", task="lint", stream="stderr")

    assert (empty.data, empty.size) == (b"", 0)


async def test_records_are_read_by_numbers_and_pages(tmp_path: Path) -> None:
    texts = [WorkerOutput(at=AT, worker=WorkerId("lint"), attempt=1, stream="stdout", offset=0, length=1)] * 3
    async with open_fleet(tmp_path, [*TREE, *texts]) as fleet:
        first = await fleet.call("events.read", after=2, limit=3)
        none = await fleet.call("events.read", after=len(TREE))
        texts_too = await fleet.call("events.read", after=len(TREE), workers=["lint"], upto=len(TREE) + 2)
        below = await fleet.call("events.read", runs=["build"], topics=["subtask"])

    assert [msgspec.json.decode(each)["seq"] for each in first.records] == [3, 4, 5]
    assert (first.upto, first.more) == (5, True)
    assert (none.records, none.upto, none.more) == ((), len(TREE) + 3, False)
    assert len(texts_too.records) == 2 and not texts_too.more
    assert [msgspec.json.decode(each)["event"]["type"] for each in below.records] == ["task.status_changed"]


async def test_what_acts_is_carried_out_before_it_is_answered_and_is_seen_by_who_asks_then(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        done = await fleet.call("worker.kill", task="lint")
        seen = await fleet.call("task.get", task="lint")
        await fleet.call("run.cancel", run="bbbbbbbb", reason="enough")
        await fleet.call("task.retry", task="x/y")

    assert fleet.commander.asked == [
        StopTask(task="lint", grace=0.0, reason="killed by a client"),
        CancelTask(task="build", reason="enough"),
        RetryTask(task="x/y"),
    ]
    assert done.seq == len(TREE) + 2 and seen.reason == "asked"


async def test_calls_that_cannot_be_are_told_apart_by_their_codes(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        for name, params, code in (
            ("worker.lst", {}, METHOD_NOT_FOUND),
            ("worker.stop", {"task": "lint", "now": True}, INVALID_PARAMS),
            ("worker.stop", {"task": "lint", "grace": -1}, INVALID_PARAMS),
            ("worker.stop", {"task": "no"}, REFUSED),
            ("run.cancel", {"run": "."}, REFUSED),
            ("run.cancel", {"run": "nix"}, NOT_FOUND),
            ("session.get", {"task": "lint"}, NOT_FOUND),
        ):
            with pytest.raises(CallError) as caught:
                await fleet.call(name, ADMIN, **params)
            assert caught.value.code == code, name
        for name in ("worker.stop", "system.shutdown"):
            params = {"task": "lint"} if name == "worker.stop" else {}
            with pytest.raises(CallError, match="it takes the scope") as caught:
                await fleet.call(name, READER, **params)
            assert caught.value.code == FORBIDDEN
    assert [method.name for method in METHODS.values() if method.acts and method.need == "read"] == []
