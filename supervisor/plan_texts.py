"""What the templates of a plan name, and the JSON Schemas of its outputs: found and checked before anything starts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from actors.files import replace_file
from actors.json_schema import read_schema
from actors.template import TemplateError, find_names
from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.plan import Task
from protocols.templates import PATH_NAMES, is_template, names_of, path_texts, template_texts
from protocols.wording import did_you_mean, quote
from supervisor.input_files import read_input

__all__ = ["keep_schemas", "load_schemas", "resolve_templates", "shell_notes"]

_PLAIN = "put that into the prompt or env, or write template = false where the braces are meant as they are"
_MEANT = "braces that are meant as they are need template = false"


def load_schemas(
    tasks: Sequence[Task], kept: FleetFolder | None, leave: Collection[TaskId]
) -> tuple[dict[str, bytes], list[str]]:
    """The text of each schema by its path, and what is wrong with them. ``kept``: a run that has copies of its own."""
    schemas: dict[str, bytes] = {}
    problems = []
    for index, task in enumerate(tasks):
        path = "" if task.output is None else task.output.schema
        if not path or path in schemas or task.id in leave:
            continue
        place = Path(path) if kept is None else kept.schema(path)
        try:
            schemas[path] = read_input(place, path, PlanError)
            read_schema(schemas[path])
        except PlanError as error:
            problems.append(f"{task.place(index)}.output.schema: {error}")
        except ValueError as error:
            problems.append(f"{task.place(index)}.output.schema: {path}: {error}")
    return schemas, problems


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the templates of all tasks."""

    tasks: Mapping[TaskId, Task]
    problems: list[str] = field(default_factory=list)

    def read(self, index: int, task: Task) -> Task:
        """The task with those in it that its templates name."""
        used: dict[TaskId, None] = {}
        for key, text in template_texts(task):
            try:
                self._check_key(task, key)
                for path in find_names(text, names_of(task)).outputs:
                    self._check_output(task, path)
                    used[TaskId(path[0])] = None
            except TemplateError as error:
                self.problems.append(f"{task.place(index)}.{key}: {error}")
        for key, text in _plain_texts(task):
            if task.template is not False and is_template(text, None, names_of(task)):
                self.problems.append(f"{task.place(index)}.{key}: this text is no template; {_PLAIN}")
        self._read_items(index, task)
        return msgspec.structs.replace(task, uses=tuple(used)) if used else task

    def _read_items(self, index: int, task: Task) -> None:
        """What there is only where a task stands for others: a source, and paths that are templates."""
        for key, text in path_texts(task):
            try:
                find_names(text, PATH_NAMES)
            except TemplateError as error:
                self.problems.append(f"{task.place(index)}.{key}: {error}")
        source = None if task.for_each is None else self.tasks[task.for_each.source]
        if source is not None and source.output is None:
            self.problems.append(f"{task.place(index)}.for_each.from: {quote(source.id)} has no output; add it there")
        elif source is not None and source.output is not None and source.output.form == "text":
            what = f"the last message of {quote(source.id)} is text, without items; add schema to its output"
            self.problems.append(f"{task.place(index)}.for_each.from: {what}")

    def _check_key(self, task: Task, key: str) -> None:
        if key == "command[0]":
            raise TemplateError(f'what is run has to be known before; write ["/bin/sh", "-c", …], or {_MEANT}')
        if key == "env.PATH":
            raise TemplateError(f"where programs are has to be known before; write it out, or {_MEANT}")

    def _check_output(self, task: Task, path: tuple[str, ...]) -> None:
        name = TaskId(path[0])
        given = self.tasks.get(name)
        if name == task.id:
            raise TemplateError(f"outputs.{name} is its own, which is not there yet; last_failure is")
        if given is None:
            hint = did_you_mean(name, self.tasks) or '; a name with "-" or "." in it is written outputs["NAME"]'
            raise TemplateError(f"outputs has no task {quote(name)}{hint}")
        if name not in self._before(task):
            if name in task.needs:
                raise TemplateError(f"{quote(name)} has failed by then, so there is no output of it")
            raise TemplateError(f"{quote(name)} may not be done by then; add it to needs")
        if given.output is None:
            raise TemplateError(f"task {quote(name)} has no output; add output to it")
        if given.output.form == "text" and len(path) > (1 if given.for_each is None else 2):
            raise TemplateError(f"the last message of {quote(name)} is text, without fields; add schema to its output")

    def _before(self, task: Task) -> set[TaskId]:
        """All that it needs, directly or through others, those left out that are to fail."""
        found: set[TaskId] = set()
        rest = [task]
        while rest:
            each = rest.pop()
            news = {need for need in each.needs if each.on.get(need) != "failure"} - found
            found |= news
            rest += [self.tasks[need] for need in news]
        return found


def _plain_texts(task: Task) -> Iterator[tuple[str, str]]:
    """What somebody may take for templates, behind its key."""
    if task.prompting is not None:
        yield "system", task.prompting.system
    yield "nudge", task.nudge
    yield "warning", task.terms.warning or ""


def resolve_templates(tasks: Sequence[Task]) -> tuple[tuple[Task, ...], list[str]]:
    """The tasks with what their templates name, and what is wrong with these."""
    reader = _Reader({task.id: task for task in tasks})
    return tuple(reader.read(index, task) for index, task in enumerate(tasks)), reader.problems


def shell_notes(tasks: Sequence[Task]) -> Iterator[str]:
    """Where what others have said becomes part of a shell command."""
    for task in tasks:
        texts = (text for key, text in template_texts(task) if task.shell and key == "command")
        if any(find_names(text, names_of(task)).unquoted for text in texts):
            yield f"{task.id}: its shell runs what comes of its templates; write {{{{ … | shell_quote }}}} for one word"


def keep_schemas(folder: FleetFolder, schemas: Mapping[str, bytes]) -> None:
    """For the whole run, whatever becomes of the files. Raise OSError."""
    for path, schema in schemas.items():
        place = folder.schema(path)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(place, schema)
