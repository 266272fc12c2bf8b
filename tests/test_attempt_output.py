"""The output of one attempt: found, checked, copied and recorded, or a reason for its failure."""

import errno
import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from math import inf
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from actors import attempt_output
from actors.attempt_output import AttemptOutput, load_outputs
from actors.files import replace_file
from protocols.errors import PlanError
from protocols.events import SpoolBlocked, SpoolResumed, WorkerExited
from protocols.ids import TaskId, WorkerId
from protocols.kinds import EndReason
from protocols.layout import FleetFolder
from protocols.resumption import OpenAttempt
from protocols.session_changes import LONGEST_ANSWER
from protocols.task_output import Output, TaskOutput
from tests.made_fleets import exited
from tests.surroundings import Stage, start, surrounded

A = WorkerId("a")


@pytest.fixture
def folder(tmp_path: Path) -> FleetFolder:
    folder = FleetFolder(tmp_path / "run")
    folder.attempt(A, 1).mkdir(parents=True)
    return folder


def ending(code: int = 0, reason: EndReason = "exit") -> WorkerExited:
    event = exited("a", code=code, reason=reason)
    assert isinstance(event, WorkerExited)
    return event


async def take(
    folder: FleetFolder,
    output: Output | None,
    end: WorkerExited | None = None,
    open: OpenAttempt | None = None,  # noqa: A002 - its name
    check_plan: Callable[[TaskId, bytes], None] = lambda task, source: None,
    *,
    stopped: bool = False,
) -> tuple[WorkerExited, TaskOutput | None, Stage]:
    async with surrounded(folder.root) as stage:
        order = start(output=output)
        around = replace(stage.around, check_plan=check_plan, retry=0.01)
        order = type(order)(order.task, 1, order.id, open)
        taken = AttemptOutput(order=order, around=around, stopped=lambda: stopped)
        ended = await taken.take(end or ending())
        await trio.testing.wait_all_tasks_blocked()
        return ended, taken.found, stage


async def test_what_is_printed_is_copied_and_recorded_before_the_end(folder: FleetFolder) -> None:
    text = b'{"a": [1]}\n'
    folder.spool(A, 1, "stdout").write_bytes(text)

    ended, found, stage = await take(folder, Output(kind="stdout-json"))

    assert ended == ending()
    assert found is not None
    assert (found.task, found.attempt, found.form, found.bytes, found.path) == (
        "a",
        1,
        "json",
        len(text),
        "spool/a/1/output",
    )
    assert found.sha256 == hashlib.sha256(text).hexdigest()
    assert stage.events == [found]
    assert load_outputs(folder.root, [found])[found.task] == {"a": [1]}


def fill_disk(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """It takes no copy so often."""
    tries = count()

    def copy(path: Path, data: bytes, *, sync: bool) -> None:
        if next(tries) < times:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(path, data, sync=sync)

    monkeypatch.setattr(attempt_output, "replace_file", copy)


async def test_a_full_disk_is_waited_for_and_is_no_failure_of_the_attempt(
    folder: FleetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, 3)
    folder.spool(A, 1, "stdout").write_bytes(b"{}")

    ended, found, stage = await take(folder, Output(kind="stdout-json"))

    assert ended == ending() and found is not None
    blocked, resumed, recorded = stage.events
    assert isinstance(blocked, SpoolBlocked) and isinstance(resumed, SpoolResumed) and recorded == found
    assert blocked.error == f"its output cannot be copied to {folder.output(A, 1)}: No space left on device"


async def test_a_stop_does_not_wait_for_a_full_disk(folder: FleetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, inf)
    folder.spool(A, 1, "stdout").write_bytes(b"{}")

    ended, found, _ = await take(folder, Output(kind="stdout-json"), stopped=True)

    assert found is None
    assert ended.reason == "output"
    assert ended.error == f"its stdout: cannot be copied to {folder.output(A, 1)}: No space left on device"


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [("free\ntext", b"", "free\ntext"), ('```json\n{"a": 1}\n```', b"true", {"a": 1}), ("3", b"true", 3)],
)
async def test_the_last_message_is_text_or_what_its_schema_allows(
    folder: FleetFolder, text: str, schema: bytes, value: object
) -> None:
    folder.last_message(A, 1).write_text(text)
    folder.schema("s").parent.mkdir()
    folder.schema("s").write_bytes(schema)

    _, found, _ = await take(folder, Output(kind="last-message", schema="s" if schema else ""))

    assert found is not None
    assert load_outputs(folder.root, [found])[found.task] == value


@pytest.mark.parametrize("reason", ["timeout", "stop", "lost", "stalled", "memory"])
async def test_an_attempt_that_did_not_end_well_gives_nothing(folder: FleetFolder, reason: EndReason) -> None:
    folder.spool(A, 1, "stdout").write_text("1")

    end = ending(reason=reason)

    assert (await take(folder, Output(kind="stdout-json"), end))[:2] == (end, None)


async def test_an_exit_code_is_a_failure_of_its_own(folder: FleetFolder) -> None:
    end = ending(code=3)

    assert (await take(folder, Output(kind="stdout-json"), end))[:2] == (end, None)


async def test_a_task_without_output_ends_as_it_ends(folder: FleetFolder) -> None:
    assert (await take(folder, None))[:2] == (ending(), None)


@pytest.mark.parametrize(
    ("kind", "text", "schema", "problem"),
    [
        ("file", None, None, "it is missing"),
        ("file", "", None, "empty, not JSON"),
        ("file", "[1", None, "not JSON at line 1, column 3: it ends too early"),
        ("file", "1" * 101, None, "larger than its max_output of 100 B"),
        ("file", "[]", '{"type": "object"}', "not as its schema says: $: [] is not of type 'object'"),
        ("file", "[]", "{", "its schema s cannot be used: not JSON at line 1, column 2: it ends too early"),
        ("last-message", None, None, "it is missing"),
        ("last-message", "Sorry.", "true", "not JSON at line 1, column 1: invalid character"),
    ],
)
async def test_an_output_that_is_not_as_wanted_is_the_end_of_its_attempt(
    folder: FleetFolder, kind: str, text: str | None, schema: str | None, problem: str
) -> None:
    place = folder.root / "x.json" if kind == "file" else folder.last_message(A, 1)
    if text is not None:
        place.write_text(text)
    folder.schema("s").parent.mkdir()
    folder.schema("s").write_text(schema or "")
    path = str(place) if kind == "file" else ""
    output = Output(kind=kind, path=path, schema="s" if schema else "", max_output=100)  # type: ignore[arg-type] # one of them

    ended, found, stage = await take(folder, output)

    assert (ended.reason, ended.error) == ("output", f"{output.label}: {problem}")
    assert (ended.code, found, stage.events) == (0, None, [])


async def test_an_answer_whose_beginning_is_not_kept_is_too_long(folder: FleetFolder) -> None:
    folder.last_message(A, 1).write_text("x" * LONGEST_ANSWER)

    ended, _, _ = await take(folder, Output(kind="last-message"))

    assert ended.error == "its last message: longer than 200,000 characters; put it in a file"


async def test_what_an_earlier_supervisor_has_recorded_holds(folder: FleetFolder) -> None:
    known = TaskOutput(at=1, task=TaskId("a"), attempt=1, form="json", bytes=1, sha256="", path="x")

    assert (await take(folder, Output(kind="stdout-json"), open=left_open(known)))[:2] == (ending(), known)


def left_open(output: TaskOutput | None = None) -> OpenAttempt:
    return OpenAttempt(
        task=TaskId("a"),
        number=1,
        id=start().id,
        started=None,
        covered={},
        epoch=2,
        told=True,
        silent_since=0,
        seen_at=0,
        output=output,
    )


@pytest.mark.parametrize("change", ["none", "written", "moved", "gone"])
async def test_a_file_that_was_there_before_the_attempt_is_no_output_of_it(folder: FleetFolder, change: str) -> None:
    place, other = folder.root / "x.json", folder.root / "other.json"
    place.write_text("[1]")
    other.write_text("[2]")

    async with surrounded(folder.root) as stage:
        output = AttemptOutput(order=start(output=Output(kind="file", path=str(place))), around=stage.around)
        await output.prepare()
        if change == "written":
            place.write_text("[12]")
        elif change == "moved":  # it was written long before
            other.rename(place)
        elif change == "gone":
            place.unlink()
        ended = await output.take(ending())

    older = "it is missing: what is there is older than this attempt; write it anew"
    problems = {"none": f"{place}: {older}", "gone": f"{place}: it is missing"}
    assert (ended.error, output.found is None) == (problems.get(change, ""), change in problems)


@pytest.mark.parametrize(("later", "is_its"), [(-60.0, True), (60.0, False)])
async def test_an_attempt_that_is_taken_up_counts_by_the_time_of_its_start(
    folder: FleetFolder, later: float, is_its: bool
) -> None:
    place = folder.root / "x.json"
    place.write_text("[1]")
    end = msgspec.structs.replace(ending(), started_at=place.stat().st_ctime + later)

    _, found, _ = await take(folder, Output(kind="file", path=str(place)), end, left_open())

    assert (found is not None) == is_its


async def test_a_copy_that_was_changed_is_not_used(folder: FleetFolder) -> None:
    folder.spool(A, 1, "stdout").write_text("1")
    _, found, _ = await take(folder, Output(kind="stdout-json"))
    assert found is not None
    folder.output(A, 1).write_text("2")

    with pytest.raises(ValueError, match="is not what was recorded; somebody has changed it"):
        load_outputs(folder.root, [found])


async def test_a_plan_is_checked_and_taken_out_of_its_fence(folder: FleetFolder) -> None:
    plan = '[[tasks]]\nid = "a"\ncommand = ["true"]'
    folder.last_message(A, 1).write_text(f"```toml\n{plan}\n```\n")
    checked: list[tuple[TaskId, bytes]] = []

    def check(task: TaskId, source: bytes) -> None:
        checked.append((task, source))

    _, found, _ = await take(folder, Output(kind="last-message", plan=True), check_plan=check)

    assert checked == [(TaskId("a"), plan.encode())]
    assert found is not None and found.form == "text"
    assert load_outputs(folder.root, [found]) == {"a": plan}


async def test_an_attempt_that_gives_no_plan_has_failed_with_all_its_mistakes(folder: FleetFolder) -> None:
    folder.last_message(A, 1).write_text("Sorry.")

    def refuse(task: TaskId, source: bytes) -> None:
        raise PlanError("plan: one", "plan: two")

    ended, found, _ = await take(folder, Output(kind="last-message", plan=True), check_plan=refuse)

    assert (ended.reason, found) == ("output", None)
    assert ended.error == "its last message: no plan that can run: plan: one; plan: two"
