"""One task for each item of what another task gave: what a plan says of that, and what comes of it.

The tasks are named by keys of the items, ``build[A-12]``, so the same items make the same tasks in every attempt and
after every resume. A task that needs ``build`` waits for all of them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from protocols.ids import TaskId
from protocols.json_path import parse_path, select
from protocols.section import Section
from protocols.wording import escaped, quote

__all__ = ["FanOut", "ForEach", "Item", "expand", "group_of", "planned", "read_for_each"]

_USUAL = 1000
_MOST = 10_000
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST = 128  # characters of a key as it stands in an id: it is the name of a folder as well


class ForEach(msgspec.Struct, frozen=True, kw_only=True):
    """Where the items are. The paths are those of `protocols.json_path`."""

    source: TaskId
    """The task whose output holds them. It is needed, whether ``needs`` says so or not."""
    path: str = "$[*]"
    key: str = ""
    """Where in an item its key is; empty: the item itself is one."""
    limit: int = _USUAL
    """More items than that are a mistake of somebody, and none of them is made."""


class Item(NamedTuple):
    """A task that is to be made, or with a ``problem`` what is wrong with its item."""

    id: TaskId
    value: object
    problem: str


class FanOut(NamedTuple):
    """``problem``: why there are no items at all, where that is a mistake."""

    items: tuple[Item, ...] = ()
    problem: str = ""


def read_for_each(section: Section) -> ForEach | None:
    """The key ``for_each``. Whether there is such a task is not looked at."""
    table = section.table("for_each", '{ from = "TASK", path = "$[*]" }')
    if table is None:
        return None
    table.check_keys(("from", "path", "key", "limit"), {})
    source = table.text("from")
    if "from" not in table:
        table.reject("from", "missing; name the task whose output holds the items")
    for name in ("path", "key"):
        if text := table.text(name):
            try:
                path = parse_path(text)
            except ValueError as error:
                table.reject(name, str(error))
                continue
            if name == "key" and None in path:
                table.reject(name, "an item has one key; write the path of one field, without *")
    limit = table.count("limit", 1, _MOST)
    usual = ForEach(source=TaskId(""))
    return ForEach(
        source=TaskId(source or ""),
        path=table.text("path") or usual.path,
        key=table.text("key") or "",
        limit=limit or usual.limit,
    )


def group_of(task: str) -> tuple[TaskId, str] | None:
    """The task of the plan for which this one was made, and the key of its item; None for others."""
    group, bracket, key = task.partition("[")
    return (TaskId(group), _from_name(key.removesuffix("]"))) if bracket else None


def planned(task: str) -> TaskId:
    """The task of the plan that says what is so for this one."""
    return TaskId(task.partition("[")[0])


def expand(group: TaskId, each: ForEach, value: object) -> FanOut:
    """The items of ``value``, in their order. A bad one has a number in place of its key: ``build[#3]``."""
    found = select(parse_path(each.path), value)
    if not found and not _is_empty(each, value):
        return FanOut(problem=f"{each.path} leads nowhere in the output of {quote(each.source)}; correct the path")
    if len(found) > each.limit:
        return FanOut(
            problem=f"{len(found):,} items at {each.path} of {quote(each.source)}, its limit is {each.limit:,}; "
            "is the path right? limit in for_each allows more"
        )
    return FanOut(tuple(_name(group, each, found)))


def _is_empty(each: ForEach, value: object) -> bool:
    """No items are none where their list is there: what lies in front of the first ``*`` that finds nothing."""
    path = parse_path(each.path)
    ends = [index for index, step in enumerate(path) if step is None]
    return any(any(isinstance(at, list | dict) and not at for at in select(path[:end], value)) for end in ends)


def _name(group: TaskId, each: ForEach, found: list[object]) -> Iterator[Item]:
    path = parse_path(each.key) if each.key else ()
    seen: dict[str, int] = {}
    for number, value in enumerate(found, 1):
        key, problem = _key(path, each.key, value)
        if not problem and key in seen:
            problem = f"its key {quote(key)} is that of item {seen[key]} too"
        if problem:
            yield Item(TaskId(f"{group}[#{number}]"), value, f"item {number} of {quote(each.source)}: {problem}")
        else:
            seen[key] = number
            yield Item(TaskId(f"{group}[{_as_name(key)}]"), value, "")


def _as_name(key: str) -> str:
    """As in a URL, so that no two keys are alike. Raise UnicodeEncodeError."""
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in key.encode())


def _from_name(name: str) -> str:
    first, *rest = name.split("%")
    return (first.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)).decode()


def _key(path: tuple[str | int | None, ...], written: str, value: object) -> tuple[str, str]:
    """The key, or what is wrong."""
    found = select(path, value)
    what = f"its {escaped(written)}" if written else "it"
    match found:
        case []:
            return "", f"no {escaped(written)} in it, which is to be its key"
        case [bool() | None | float() | list() | dict() as wrong]:
            kinds = {bool: "true or false", list: "a list", dict: "an object", float: "a decimal number"}
            advice = "" if written else "; name a field of it: for_each.key"
            return "", f"{what} is {kinds.get(type(wrong), 'null')}, and a key is a text or a whole number{advice}"
    key = str(found[0])
    if not key:
        return "", f"{what} is empty, and cannot be a key"
    try:
        size = len(_as_name(key))
    except UnicodeEncodeError:
        return "", f"{what} is no Unicode, and cannot be a key"
    return (key, "") if size <= _LONGEST else ("", f"{what} is too long for a key, at most {_LONGEST} characters")
