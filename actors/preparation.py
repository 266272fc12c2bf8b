"""What an attempt is started with: the texts of its task, with what other tasks and the attempt before gave put in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import trio

from actors.attempt_output import load_outputs
from actors.orders import StartWorker
from actors.spawn_request import Surroundings
from actors.template import TemplateError, find_names, render_text
from actors.workspaces import place_task, workspace_of
from protocols.layout import FleetFolder
from protocols.plan import Task
from protocols.templates import ITEM, names_of, replace_texts, template_texts

__all__ = ["Prepared", "prepare"]

_LONGEST_ARGUMENT = 128 * 1024 - 1  # MAX_ARG_STRLEN of the kernel, without the NUL at the end
_LONGEST_TEXT = 1024 * 1024  # of a prompt, or for stdin: as much as a plan may hold itself
_TOLD = "The attempt before this one was not accepted. Its output: "


@dataclass(frozen=True, slots=True)
class Prepared:
    order: StartWorker
    """Its task has the texts that are started with."""
    prompts: tuple[str, ...] = ()
    """The prompts, where they are not those of the plan."""
    problem: str = ""
    """Why it cannot be started; then the texts are those of the plan."""
    again: bool = False
    """Another attempt may come further."""


async def prepare(order: StartWorker, around: Surroundings) -> Prepared:
    """Put in what is known now. An attempt that goes on has what it was started with."""
    order = replace(order, task=place_task(order.task, around.folder))
    if order.open is not None:
        task = _with_prompts(order.task, order.open.prompts)
        return Prepared(order if task is order.task else replace(order, task=task))
    absent = [name for name, source in order.task.secrets.items() if source not in around.secrets]
    if absent:
        name = absent[0]
        return Prepared(order, problem=f"secrets.{name}: {order.task.secrets[name].label} could not be read")
    try:
        task = order.task
        if template_texts(task):
            render = partial(_render, order, around.folder)
            task = await trio.to_thread.run_sync(render, limiter=around.limiter, abandon_on_cancel=True)
        told = _tell_failure(task, order)
    except ValueError as error:
        return Prepared(order, problem=str(error))
    prompts = () if told.prompting is None or told == order.task else told.prompting.prompts
    return Prepared(replace(order, task=told), prompts)


def _with_prompts(task: Task, prompts: tuple[str, ...]) -> Task:
    if task.prompting is None or not prompts:
        return task
    prompting = msgspec.structs.replace(task.prompting, prompts=prompts)
    return msgspec.structs.replace(task, prompting=prompting)


def _tell_failure(task: Task, order: StartWorker) -> Task:
    """A session whose output was not accepted is told so, once: by its own prompts, or at the end of the first."""
    failure, prompting = order.failure, task.prompting
    if failure is None or not failure.of_output or prompting is None:
        return task
    if any(
        find_names(text, names_of(order.task)).last_failure
        for key, text in template_texts(order.task)
        if key.startswith("prompt")
    ):
        return task
    first, *others = prompting.prompts
    told = f"{first}\n\n{_TOLD}{failure.reason.removeprefix('output: ')}"
    return _with_prompts(task, (told, *others))


def _render(order: StartWorker, folder: FleetFolder) -> Task:
    """In a thread. Raise ValueError with the key in front."""
    names = {
        "outputs": load_outputs(folder.root, order.outputs, order.groups),
        "attempt": order.attempt,
        "last_failure": "" if order.failure is None else order.failure.reason,
        "task": order.task.id,
        "workspace": workspace_of(order.task, folder),
    }
    if order.task.item is not None:
        names[ITEM] = order.task.item
    return replace_texts(order.task, partial(_render_key, names))


def _render_key(names: Mapping[str, object], key: str, text: str) -> str:
    try:
        made = render_text(text, names)
        size = len(made.encode())
    except (TemplateError, UnicodeEncodeError) as error:
        raise ValueError(f"{key}: {error}") from error
    name, _, variable = key.partition(".")
    size += len(variable.encode()) + 1 if name == "env" else 0
    longest = _LONGEST_ARGUMENT if name.startswith(("command", "env")) else _LONGEST_TEXT
    if size > longest:
        advice = "; pass it in a file or by stdin" if longest == _LONGEST_ARGUMENT else "; put less into it"
        raise ValueError(
            f"{key}: longer than {longest // 1024 + (longest % 1024 > 0)} KiB with what was put in{advice}"
        )
    return made
