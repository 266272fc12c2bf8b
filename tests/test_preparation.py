"""What an attempt is started with: its texts with what is known put in, or why it cannot be started."""

import hashlib
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from actors.orders import StartWorker
from actors.preparation import Prepared, prepare
from protocols.agents import Agent, Prompting
from protocols.ids import TaskId
from protocols.resumption import OpenAttempt
from protocols.task_output import Failure, TaskOutput
from tests.surroundings import start, surrounded

INVALID = Failure("output: x.json: it is missing", of_output=True)
TOLD = "The attempt before this one was not accepted. Its output: x.json: it is missing"


def given(folder: Path, task: str, value: object) -> TaskOutput:
    """An output that lies in the folder of the run."""
    data = msgspec.json.encode(value)
    (folder / task).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return TaskOutput(at=1, task=TaskId(task), attempt=1, form="json", bytes=len(data), sha256=sha256, path=task)


def session(*prompts: str, failure: Failure | None = None) -> StartWorker:
    order = start(prompting=Prompting(agent=Agent(name="x"), prompts=prompts))
    return replace(order, task=msgspec.structs.replace(order.task, command=(), source="session"), failure=failure)


async def prepared(folder: Path, order: StartWorker) -> Prepared:
    async with surrounded(folder) as made:
        return await prepare(order, made.around)


async def test_a_task_without_templates_is_started_as_it_is(tmp_path: Path) -> None:
    order = start(env={"FORMAT": "{{ .Names }}"})

    made = await prepared(tmp_path, order)

    assert made == Prepared(order)
    assert made.order.task is order.task


async def test_all_that_is_known_is_put_into_all_texts(tmp_path: Path) -> None:
    order = start("b", 2, env={"N": "{{ outputs.a.n }} of {{ task }} {{ attempt }}: {{ last_failure }}"})
    order = replace(order, outputs=(given(tmp_path, "a", {"n": 5}),), failure=Failure("exit code 3", of_output=False))

    made = await prepared(tmp_path, order)

    assert made.order.task.env == {"N": "5 of b 2: exit code 3"}
    assert (made.prompts, made.problem) == ((), "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ outputs.a.m }}", '{{ outputs.a.m }}: outputs.a has no field "m"; its fields: n'),
        ("{{ outputs.b.n }}", '{{ outputs.b.n }}: task "b" has not succeeded, so there is no output of it'),
        (
            "{{ task * 131072 }}",
            "longer than 128 KiB with what was put in; pass it in a file or by stdin",
        ),
    ],
)
async def test_what_cannot_be_put_in_is_told_with_its_key(tmp_path: Path, text: str, problem: str) -> None:
    order = replace(start("u", env={"X": text}), outputs=(given(tmp_path, "a", {"n": 5}),))

    made = await prepared(tmp_path, order)

    assert (made.order, made.problem) == (order, f"env.X: {problem}")


async def test_a_copy_that_somebody_has_changed_is_not_put_in(tmp_path: Path) -> None:
    order = replace(start(env={"X": "{{ outputs.b.n }}"}), outputs=(given(tmp_path, "b", {"n": 5}),))
    (tmp_path / "b").write_text('{"n": 6}')

    made = await prepared(tmp_path, order)

    assert made.problem == "b: is not what was recorded; somebody has changed it"


async def test_prompts_are_kept_where_they_are_not_those_of_the_plan(tmp_path: Path) -> None:
    made = await prepared(tmp_path, session("Do {{ task }}.", "And more."))

    assert made.prompts == ("Do a.", "And more.")
    assert made.order.task.prompting is not None
    assert made.order.task.prompting.prompts == made.prompts


@pytest.mark.parametrize(
    ("prompts", "failure", "sent"),
    [
        (("Do it.", "More."), INVALID, (f"Do it.\n\n{TOLD}", "More.")),
        (("Do {{ task }}.",), INVALID, (f"Do a.\n\n{TOLD}",)),
        (("Do it.", "{{ last_failure }}"), INVALID, ("Do it.", INVALID.reason)),
        (("Do it.",), Failure("exit code 3", of_output=False), ()),
        (("Do it.",), None, ()),
    ],
)
async def test_a_session_is_told_once_what_was_wrong_with_its_output(
    tmp_path: Path, prompts: tuple[str, ...], failure: Failure | None, sent: tuple[str, ...]
) -> None:
    made = await prepared(tmp_path, session(*prompts, failure=failure))

    assert made.prompts == sent


@pytest.mark.parametrize(
    ("recorded", "sent"), [(("Do a.\n\nAs it was.",), ("Do a.\n\nAs it was.",)), ((), ("Do {{ task }}.",))]
)
async def test_a_session_that_goes_on_has_the_prompts_with_which_it_began(
    tmp_path: Path, recorded: tuple[str, ...], sent: tuple[str, ...]
) -> None:
    order = session("Do {{ task }}.", failure=INVALID)
    left = OpenAttempt(
        task=order.task.id,
        number=1,
        id=order.id,
        started=None,
        covered={},
        epoch=2,
        told=True,
        silent_since=0,
        seen_at=0,
        prompts=recorded,
    )

    made = await prepared(tmp_path, replace(order, open=left))

    assert made.order.task.prompting is not None
    assert made.order.task.prompting.prompts == sent
