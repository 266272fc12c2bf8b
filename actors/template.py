"""One template: what it names, and what comes of it. jinja2 in its sandbox, imported where a plan has templates.

Fields of JSON objects come before methods, so that ``outputs.plan.items`` is a field; objects, lists, ``true`` and
``null`` are written as JSON.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from protocols.templates import ITEM, NAMES
from protocols.wording import did_you_mean, escaped, quote

__all__ = ["Names", "TemplateError", "find_names", "open_environment", "render_text"]


class TemplateError(ValueError):
    """What is wrong with a template, in one line."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a template names."""

    outputs: tuple[tuple[str, ...], ...]
    """Each ``outputs.TASK.field…`` as far as it is fixed, the task first."""
    items: tuple[tuple[str, ...], ...]
    """Each ``item.field…`` as far as it is fixed."""
    last_failure: bool
    unquoted: bool
    """Something that others have said is written as it is, without ``shell_quote``."""


def find_names(text: str, known: Sequence[str] = NAMES) -> Names:
    """What the template names. Raise TemplateError where it cannot be one, or names what is not ``known``."""
    from jinja2 import TemplateSyntaxError, meta, nodes  # noqa: PLC0415

    try:
        tree = open_environment().parse(text)
        named = meta.find_undeclared_variables(tree)
    except TemplateSyntaxError as error:
        where = f"line {error.lineno}: " if "\n" in text else ""
        hint = "braces that are meant as they are stand in {% raw %} … {% endraw %}, or write template = false"
        raise TemplateError(f"{where}{error.message}; {hint}") from error
    except RecursionError as error:
        raise TemplateError("nested too deep; make it simpler") from error
    for _ in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        raise TemplateError("a template has no other files; write all of it here")
    for name in sorted(named - {*known, *open_environment().globals}):
        hint = did_you_mean(name, known) or f"; there is {', '.join(known[:-1])} and {known[-1]}"
        if name == ITEM:
            hint = "; only a task with for_each has one"
        dashed = f'; a task with "-" or "." in its name is outputs["…-{escaped(name)}"]' if "outputs." in text else ""
        raise TemplateError(f"{quote(name)} is nothing here{hint}{dashed}")
    return Names(
        outputs=tuple(dict.fromkeys(_outputs(tree))),
        items=tuple(dict.fromkeys(path for path, _ in _chains(tree, ITEM) if path)),
        last_failure="last_failure" in named,
        unquoted=any(_is_unquoted(child) for output in tree.find_all(nodes.Output) for child in output.nodes),
    )


def render_text(text: str, names: Mapping[str, object]) -> str:
    """What comes of the template. Raise TemplateError with the expression that has no value."""
    from jinja2 import TemplateError as AnyError  # noqa: PLC0415

    try:
        made: str = open_environment().from_string(text).render(names)
    except (AnyError, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        told = f"{_line(text, error)}: {str(error) or type(error).__name__}"
        raise TemplateError(_missing(text, names) or told) from error
    except RecursionError as error:
        raise TemplateError("nested too deep") from error
    if "\0" in made:
        raise TemplateError("a NUL character came of it, which no command, prompt or variable can hold")
    return made


@cache
def open_environment() -> Any:
    """The sandbox in which all templates live."""
    from jinja2 import StrictUndefined  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    class Environment(ImmutableSandboxedEnvironment):
        def getattr(self, obj: Any, attribute: str) -> Any:
            return self.getitem(obj, attribute) if isinstance(obj, dict) else super().getattr(obj, attribute)

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_finalize)
    environment.filters["tojson"] = _to_json
    environment.filters["shell_quote"] = lambda value: shlex.quote(str(_finalize(value)))
    return environment


def _finalize(value: Any) -> Any:
    if callable(value) and not _is_undefined(value):
        raise TemplateError("a method has no text; is there no such field?")
    return _to_json(value) if value is None or isinstance(value, dict | list | bool) else value


def _is_undefined(value: object) -> bool:
    from jinja2 import Undefined  # noqa: PLC0415

    return isinstance(value, Undefined)


def _to_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _outputs(tree: Any) -> Iterator[tuple[str, ...]]:
    """Raise TemplateError where ``outputs`` stands without the name of a task."""
    from jinja2 import nodes  # noqa: PLC0415

    inner: set[int] = set()
    for path, root in _chains(tree, "outputs"):
        if path:
            inner.add(id(root))
            yield path
    for name in tree.find_all(nodes.Name):
        if name.name == "outputs" and name.ctx == "load" and id(name) not in inner:
            raise TemplateError('outputs needs the name of a task; write outputs.TASK, or outputs["TASK"]')


def _chains(tree: Any, name: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The fields that are named of a variable, and the variable itself."""
    from jinja2 import nodes  # noqa: PLC0415

    inner: set[int] = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        if id(node) in inner:
            continue
        path, root = _path(node, inner)
        if isinstance(root, nodes.Name) and root.name == name:
            yield path, root


def _path(node: Any, inner: set[int]) -> tuple[tuple[str, ...], Any]:
    """The fixed fields that follow each other from the root of a chain on, and that root."""
    from jinja2 import nodes  # noqa: PLC0415

    path: list[str | None] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        inner.add(id(node))
        if isinstance(node, nodes.Getattr):
            path.append(node.attr)
        else:
            fixed = node.arg.value if isinstance(node.arg, nodes.Const) else None
            path.append(fixed if isinstance(fixed, str) else None)
        node = node.node
    path.reverse()
    return tuple(_until_unknown(path)), node


def _until_unknown(path: list[str | None]) -> Iterator[str]:
    for name in path:
        if name is None:
            return
        yield name


def _is_unquoted(node: Any) -> bool:
    from jinja2 import nodes  # noqa: PLC0415

    quoted = isinstance(node, nodes.Filter) and node.name == "shell_quote"
    names = [node] if isinstance(node, nodes.Name) else []
    names += node.find_all(nodes.Name)
    return not quoted and any(name.name in {"outputs", "last_failure", ITEM} for name in names)


def _line(text: str, error: BaseException) -> str:
    """The line of the template on which it failed."""
    number, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            number = trace.tb_lineno
        trace = trace.tb_next
    return quote(text.split("\n")[number - 1 : number][0].strip())


def _missing(text: str, names: Mapping[str, object]) -> str:
    """The first ``outputs.TASK.field`` or ``item.field`` without a value, and what there is in its place; empty where
    all have one."""
    found = find_names(text, tuple(names))
    paths = [("outputs", *path) for path in found.outputs] + [(ITEM, *path) for path in found.items]
    for path in paths:
        value: Any = names[path[0]]
        for depth, name in enumerate(path[1:], 1):
            if not isinstance(value, dict) or name not in value:
                return f"{{{{ {_spell(path)} }}}}: {_what_is(path[:depth], value, name)}"
            value = value[name]
    return ""


def _spell(path: tuple[str, ...]) -> str:
    return path[0] + "".join(f".{name}" if name.isidentifier() else f"[{quote(name)}]" for name in path[1:])


def _what_is(path: tuple[str, ...], value: object, name: str) -> str:
    where = _spell(path)
    if path == ("outputs",):
        return f"task {quote(name)} has not succeeded, so there is no output of it"
    if not isinstance(value, dict):
        kind = {str: "a text", list: "a list", bool: "true or false", type(None): "null"}.get(type(value), "a number")
        return f"{where} is {kind}, which has no fields"
    known = ", ".join(escaped(str(key)) for key in [*value][:10]) or "none"
    return f"{where} has no field {quote(name)}{did_you_mean(name, value) or f'; its fields: {known}'}"
