"""Which texts of a task are templates, and the same task with other texts in their place.

A text is a template where it names one of `NAMES` in braces: ``{{ outputs.plan.title }}``, ``{% if attempt > 1 %}``.
Other braces in commands are theirs: ``docker ps --format '{{ .Names }}'``, ``{{ task.name }}`` of somebody else's
templates. With ``template = true`` every text of the task is one, with ``template = false`` none.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from protocols.plan import Task
from protocols.workspace import GivenFile

__all__ = ["NAMES", "is_template", "replace_texts", "template_texts"]

NAMES = ("outputs", "attempt", "last_failure", "task", "workspace")
_ENDS = {"{{": "}}", "{%": "%}"}
_NAMED = re.compile(r"(?<![\w.$\"'-])(?:outputs\s*[.\[]|(?:attempt|last_failure|task|workspace)(?![\w.\[(:'\"-]))")
_SHELL_TEXT = 2  # of ("/bin/sh", "-c", TEXT)


def is_template(text: str, said: bool | None) -> bool:
    """``said``: the key ``template`` of the task."""
    if said is not None:
        return said and ("{{" in text or "{%" in text or "{#" in text)
    return any(_NAMED.search(inner) for inner in _braced(text))


def _braced(text: str) -> Iterator[str]:
    """What stands in braces; behind those that are not closed, all the rest."""
    for begin, end in _ENDS.items():
        start = text.find(begin)
        while start >= 0:
            stop = text.find(end, start)
            yield text[start + 2 : stop if stop >= 0 else len(text)]
            start = -1 if stop < 0 else text.find(begin, stop)


def template_texts(task: Task) -> tuple[tuple[str, str], ...]:
    """The templates, each behind the path of its key in the task."""
    texts = ((key, text) for key, text in _texts(task) if is_template(text, task.template))
    return (*texts, *((_key(file), file.text) for file in task.workspace.files if _is_template(file, task.template)))


def _is_template(file: GivenFile, said: bool | None) -> bool:
    """One that is called so is one, whatever it names."""
    return file.kind == "template" or (file.kind == "text" and is_template(file.text, said))


def _key(file: GivenFile) -> str:
    return f"workspace.files.{file.path}"


def _texts(task: Task) -> Iterator[tuple[str, str]]:
    for index, text in enumerate(task.command):
        if not task.shell:
            yield f"command[{index}]", text
        elif index == _SHELL_TEXT:
            yield "command", text
    prompts = () if task.prompting is None else task.prompting.prompts
    for index, text in enumerate(prompts):
        yield f"prompt[{index}]" if len(prompts) > 1 else "prompt", text
    for name, text in task.env.items():
        yield f"env.{name}", text
    if task.stdin.kind == "text":
        yield "stdin.text", task.stdin.text


def replace_texts(task: Task, render: Callable[[str, str], str]) -> Task:
    """The task with what ``render`` makes of each key and its template."""
    made = {key: render(key, text) for key, text in template_texts(task)}
    if not made:
        return task
    several = task.prompting is not None and len(task.prompting.prompts) > 1
    command = [
        made.get("command" if task.shell and index == _SHELL_TEXT else f"command[{index}]", text)
        for index, text in enumerate(task.command)
    ]
    prompting = task.prompting
    if prompting is not None:
        prompts = (
            made.get(f"prompt[{index}]" if several else "prompt", text) for index, text in enumerate(prompting.prompts)
        )
        prompting = msgspec.structs.replace(prompting, prompts=tuple(prompts))
    stdin = task.stdin
    if "stdin.text" in made:
        stdin = msgspec.structs.replace(stdin, text=made["stdin.text"])
    env = {name: made.get(f"env.{name}", text) for name, text in task.env.items()}
    files = tuple(msgspec.structs.replace(file, text=made.get(_key(file), file.text)) for file in task.workspace.files)
    space = msgspec.structs.replace(task.workspace, files=files) if files else task.workspace
    return msgspec.structs.replace(
        task, command=tuple(command), prompting=prompting, env=env, stdin=stdin, workspace=space
    )
