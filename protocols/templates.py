"""Which texts of a task are templates, and the same task with other texts in their place.

A text is a template where it names one of `NAMES` in braces: ``{{ outputs.plan.title }}``, ``{% if attempt > 1 %}``.
Other braces in commands are theirs: ``docker ps --format '{{ .Names }}'``, ``{{ task.name }}`` of somebody else's
templates. With ``template = true`` every text of the task is one, with ``template = false`` none.

A task with ``for_each`` has `ITEM` besides, and its paths are templates too. Those know nothing but the item and the
id: they are put in when the tasks are made, and are the same for all attempts.
"""

import re
from collections.abc import Callable, Collection, Iterator

import msgspec

from protocols.plan import Task
from protocols.workspace import GivenFile

__all__ = [
    "ITEM",
    "NAMES",
    "PATH_NAMES",
    "is_template",
    "names_of",
    "path_texts",
    "replace_paths",
    "replace_texts",
    "template_texts",
]

NAMES = ("outputs", "attempt", "last_failure", "task", "workspace")
ITEM = "item"
PATH_NAMES = (ITEM, "task")
_ENDS = {"{{": "}}", "{%": "%}"}
_NAMED = re.compile(r"(?<![\w.$\"'-])(?:outputs\s*[.\[]|(?:attempt|last_failure|task|workspace)(?![\w.\[(:'\"-]))")
_ITEM = re.compile(r"(?<![\w.$\"'-])item(?![\w(:'\"-])")
_SHELL_TEXT = 2  # of ("/bin/sh", "-c", TEXT)


def names_of(task: Task) -> tuple[str, ...]:
    """What its templates may name."""
    return NAMES if task.for_each is None and task.item is None else (*NAMES, ITEM)


def is_template(text: str, said: bool | None, names: Collection[str] = NAMES) -> bool:
    """``said``: the key ``template`` of the task; ``names``: what it may name."""
    if said is not None:
        return said and ("{{" in text or "{%" in text or "{#" in text)
    wanted = (_NAMED, _ITEM) if ITEM in names else (_NAMED,)
    return any(pattern.search(inner) for inner in _braced(text) for pattern in wanted)


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
    names = names_of(task)
    texts = ((key, text) for key, text in _texts(task) if is_template(text, task.template, names))
    files = (file for file in task.workspace.files if _is_template(file, task.template, names))
    return (*texts, *((_key(file), file.text) for file in files))


def _is_template(file: GivenFile, said: bool | None, names: Collection[str]) -> bool:
    """One that is called so is one, whatever it names."""
    return file.kind == "template" or (file.kind == "text" and is_template(file.text, said, names))


def _key(file: GivenFile) -> str:
    return f"workspace.files.{file.path}"


def path_texts(task: Task) -> tuple[tuple[str, str], ...]:
    """The paths of a task with ``for_each`` that are templates."""
    if task.for_each is None:
        return ()
    return tuple((key, text) for key, text in _paths(task) if is_template(text, task.template, PATH_NAMES))


def _paths(task: Task) -> Iterator[tuple[str, str]]:
    yield "cwd", task.cwd
    if task.output is not None:
        yield "output.file", task.output.path
    if task.stdin.kind == "file":
        yield "stdin.file", task.stdin.text
    if task.logfile is not None:
        yield "logfile.path", task.logfile.path
    if task.progress_file is not None:
        yield "progress_file", task.progress_file


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


def replace_paths(task: Task, render: Callable[[str, str], str]) -> Task:
    """The task with what ``render`` makes of each key of `path_texts` and its template."""
    made = {key: render(key, text) for key, text in path_texts(task)}
    output, stdin, log = task.output, task.stdin, task.logfile
    if output is not None:
        output = msgspec.structs.replace(output, path=made.get("output.file", output.path))
    if "stdin.file" in made:
        stdin = msgspec.structs.replace(stdin, text=made["stdin.file"])
    if log is not None:
        log = msgspec.structs.replace(log, path=made.get("logfile.path", log.path))
    return msgspec.structs.replace(
        task,
        cwd=made.get("cwd", task.cwd),
        output=output,
        stdin=stdin,
        logfile=log,
        progress_file=made.get("progress_file", task.progress_file),
    )


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
