"""What a task waits for, what has to have become of it, and what else a plan says of the order."""

import re
from typing import Literal, TypeAlias, get_args

import msgspec

from protocols.ids import TaskId
from protocols.section import Section
from protocols.wording import escaped, quote

__all__ = ["Condition", "Wanted", "read_label_caps", "read_labels", "read_needs", "read_priority"]

Condition: TypeAlias = Literal["success", "failure", "end"]
"""``failure``: it came to a bad end of its own. ``end``: whatever became of it, be it that it was skipped."""
_CONDITIONS: tuple[Condition, ...] = get_args(Condition)
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_GREATEST = 1000


class Wanted(msgspec.Struct, frozen=True):
    """``on``: the conditions of those needs that are to have another end than success."""

    needs: tuple[TaskId, ...] = ()
    on: dict[TaskId, Condition] = {}


def read_needs(section: Section) -> Wanted:
    """The key ``needs``: ``["a", { task = "b", on = "failure" }]``. Whether there are such tasks is not looked at."""
    found: dict[TaskId, Condition] = {}
    for entry in section.entries("needs"):
        need, on = _read(entry) if isinstance(entry, Section) else (TaskId(entry or ""), "success")
        if found.setdefault(need, on) != on:
            section.reject("needs", f"{quote(need)} on {found[need]} and on {on}; write one of them")
    return Wanted(
        tuple(need for need in found if need), {need: on for need, on in found.items() if need and on != "success"}
    )


def _read(entry: Section) -> tuple[TaskId, Condition]:
    entry.check_keys(("task", "on"), {})
    task = entry.text("task")
    if "task" not in entry:
        entry.reject("task", "missing; name a task")
    match entry.text("on"):
        case None | "success":
            return TaskId(task or ""), "success"
        case "failure" | "end" as on:
            return TaskId(task or ""), on
        case unknown:
            guess = entry.guess(unknown, _CONDITIONS) or '; write "success", "failure" or "end"'
            entry.reject("on", f"{quote(unknown)} is no end of a task{guess}")
            return TaskId(task or ""), "success"


def read_priority(section: Section) -> int | None:
    """The key ``priority``: of the tasks that could start, the one with the greatest does."""
    value = section.get("priority")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -_GREATEST <= value <= _GREATEST:
        section.reject("priority", f"write a whole number from {-_GREATEST} to {_GREATEST}; the greatest is first")
        return None
    return value


def read_labels(section: Section) -> tuple[str, ...]:
    """The key ``labels``."""
    labels = section.strings("labels") or ()
    for label in labels:
        _check_label(section, "labels", label)
    return tuple(dict.fromkeys(labels))


def read_label_caps(section: Section | None) -> dict[str, int]:
    """The table ``labels`` of a plan: how many tasks with a label run at once."""
    caps: dict[str, int] = {}
    for label in section or ():
        if section is not None:
            _check_label(section, label, label)
            table = section.table(label, "{ concurrency = 1 }")
            if table is None:
                continue
            table.check_keys(("concurrency",), {})
            cap = table.count("concurrency", 1)
            if "concurrency" not in table:
                table.reject("concurrency", f"missing; say how many tasks with {escaped(label)} run at once")
            if cap is not None:
                caps[label] = cap
    return caps


def _check_label(section: Section, key: str, label: str) -> None:
    if not _LABEL.fullmatch(label):
        rule = 'up to 64 letters, digits, ".", "_", "/" and "-", the first a letter or a digit'
        section.reject(key, f"{quote(label)} is no label; use {rule}")
