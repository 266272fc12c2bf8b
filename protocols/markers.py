"""What in a worker's output tells what it does, and what on its screen that it asks: tables of markers, one per agent.

The tables are data (``protocols/markers.toml``) to which a user's file may add; see the head of that file.
"""

from collections.abc import Collection, Mapping
from typing import get_args

import msgspec

from protocols.errors import InputError
from protocols.evidence import Doing, Mark
from protocols.lines import strip_ansi
from protocols.progress import TAIL
from protocols.prompts import Prompts
from protocols.section import Problems, Section
from protocols.toml_text import parse_toml
from protocols.wording import quote

__all__ = ["Markers", "find_mark", "parse_markers"]

_DOINGS: tuple[Doing, ...] = get_args(Doing)
_SHORTEST, _LONGEST = 3, 100  # bytes: a shorter one is found in anything, a longer one is a sentence that will change
_MOST = 64  # markers of one agent for one doing: each is looked for in every end of output
_TRIES = 8  # places at which one marker may stand in the middle of a word before it is given up


class Markers(msgspec.Struct, frozen=True):
    """What to look for in the output of one agent, inherited markers included."""

    known: tuple[tuple[Doing, bytes], ...] = ()
    prompts: Prompts = Prompts()
    """What to look for on its screen, where it has one."""


class _Table(msgspec.Struct, frozen=True):
    like: tuple[str, ...]
    own: tuple[tuple[Doing, bytes], ...]
    prompts: Prompts


def parse_markers(text: str, where: str, builtin: Mapping[str, Markers] | None = None) -> dict[str, Markers]:
    """All agents of ``builtin`` and of ``text``, what ``text`` says about a known one added to it.

    ``where`` names the text in messages. Raises InputError with every mistake: what, where and what to do.
    """
    base = builtin or {}
    problems = Problems(where)
    root = Section(parse_toml(text, where, InputError), "", problems)
    sections = {name: section for name in root if (section := root.table(name)) is not None}
    tables = {name: _read_table(section) for name, section in sections.items()}
    for name, section in sections.items():
        _check_like(section, name, {**base, **sections})
    if problems.lines:
        raise InputError(*problems.lines)
    return {**base, **{name: _resolve(name, tables, base) for name in tables}}


def find_mark(tail: bytes, markers: Markers) -> Mark | None:
    """The marker that ends last in the output; of two that end together the longer. None where there is none.

    ``tail`` is the end of the output: the last `TAIL` bytes are looked at, escape sequences left aside.
    """
    text = strip_ansi(tail[-TAIL:])
    end, found = 0, None
    for doing, marker in markers.known:
        if marker in text and (at := _last(text, marker)) >= 0:
            stop = at + len(marker)
            if stop > end or (found is not None and stop == end and len(marker) > len(found[1])):
                end, found = stop, (doing, marker)
    return None if found is None else Mark(found[0], found[1].decode("utf-8", "replace"))


def _last(text: bytes, marker: bytes) -> int:
    """Where the marker stands last, not in the middle of a word; -1 where nowhere."""
    at = text.rfind(marker)
    if not marker[:1].isalnum():
        return at
    for _ in range(_TRIES):
        if at <= 0 or not text[at - 1 : at].isalnum():
            return at
        at = text.rfind(marker, 0, at + len(marker) - 1)
    return -1


def _read_table(table: Section) -> _Table:
    keys = (*_DOINGS, *Prompts._fields)
    table.check_keys(("like", *keys), {"markers": "put the markers under one of " + ", ".join(_DOINGS)})
    own = tuple((doing, marker) for doing in _DOINGS for marker in _read_list(table, doing))
    prompts = Prompts(*(tuple(marker.decode() for marker in _read_list(table, key)) for key in Prompts._fields))
    return _Table(table.strings("like") or (), own, prompts)


def _read_list(table: Section, key: str) -> list[bytes]:
    words = table.strings(key) or ()
    if len(words) > _MOST:
        table.reject(key, f"{len(words)} markers, and each is looked for all the time; keep at most {_MOST}")
    found = []
    for word in words:
        marker = word.encode("utf-8", "replace")
        if not _SHORTEST <= len(marker) <= _LONGEST or not word.strip():
            rule = f"write {_SHORTEST} to {_LONGEST} bytes, not only blanks"
            table.reject(key, f"{quote(word)} is no marker; {rule}")
        found.append(marker)
    return found


def _check_like(section: Section, name: str, known: Collection[str]) -> None:
    for other in section.strings("like") or ():
        if other == name:
            section.reject("like", "an agent cannot be like itself; remove it")
        elif other not in known:
            guess = section.guess(other, known) or "; add its table, or remove it"
            section.reject("like", f"no agent {quote(other)}{guess}")


def _resolve(name: str, tables: Mapping[str, _Table], base: Mapping[str, Markers]) -> Markers:
    """What an agent has with all that it is like, each marker once, its own meaning before an inherited one."""
    found: dict[bytes, Doing] = {}
    prompts = Prompts()
    waiting, seen = [name], set[str]()
    while waiting:
        each = waiting.pop(0)
        if each in seen:
            continue
        seen.add(each)
        if each in tables:
            waiting += tables[each].like
            prompts = prompts.with_those_of(tables[each].prompts)
            for doing, marker in tables[each].own:
                found.setdefault(marker, doing)
        inherited = base.get(each, Markers())
        prompts = prompts.with_those_of(inherited.prompts)
        for doing, marker in inherited.known:
            found.setdefault(marker, doing)
    return Markers(tuple((doing, marker) for marker, doing in found.items()), prompts)
