"""Which role a task has that names none: by the words of its id, title, prompt, files and command."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from protocols.role_words import ENDINGS, FOLDERS, ORCHESTRATING, PROGRAMS, WORDS
from protocols.wording import quote

__all__ = ["NOTHING_SAID", "NOT_DETECTED", "Detection", "Said", "detect_role"]

NOT_DETECTED = "command"
"""The role of a task whose words tell too little, or as much of one role as of another: it adds nothing."""

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_ENOUGH = 4
_LEAD = 2
_NAME_COUNTS = 2
_READ = 2000  # characters of a prompt: what comes later is material
_ARGUMENTS = 32
_LONGEST_ARGUMENT = 200  # more is a program or a text, not a word of the command
_SHOWN = 4


class Said(NamedTuple):
    """What a plan says of a task."""

    id: str
    title: str = ""
    prompt: str = ""
    """The first one."""
    files: tuple[str, ...] = ()
    """Paths that it names."""
    command: tuple[str, ...] = ()
    """The arguments; of a shell its text, cut at blanks."""


class Detection(NamedTuple):
    role: str
    score: int
    """What its words count together; 0 where none says anything."""
    reason: str
    """Of a role that was found: which words, and where they stand."""


NOTHING_SAID = Detection(NOT_DETECTED, 0, "its words tell nothing")


class _Proof(NamedTuple):
    role: str
    word: str
    place: str
    weight: int


def detect_role(said: Said) -> Detection:
    """Each word counts once for a role, where it counts most: in the id and the title twice.

    Never ``meta-orchestrator``: who spawns others has to be told so.
    """
    if found := sorted(ORCHESTRATING.intersection(_words(f"{said.id} {said.title} {said.prompt[:_READ]}"))):
        why = f"its words ({', '.join(found)}) are those of a meta-orchestrator, which only a plan can name"
        return Detection(NOT_DETECTED, 0, f'{why}: write role = "meta-orchestrator" if it is one')
    best: dict[str, dict[str, _Proof]] = {role: {} for role in WORDS}
    for proof in _proofs(said):
        known = best[proof.role].get(proof.word)
        if known is None or proof.weight > known.weight:
            best[proof.role][proof.word] = proof
    return _choose({role: tuple(proofs.values()) for role, proofs in best.items()})


def _choose(found: Mapping[str, tuple[_Proof, ...]]) -> Detection:
    scores = {role: sum(proof.weight for proof in proofs) for role, proofs in found.items()}
    (best, most), (second, next_most) = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:2]
    if most < _ENOUGH:
        return Detection(NOT_DETECTED, most, "its words tell too little") if most else NOTHING_SAID
    if most - next_most < _LEAD:
        return Detection(NOT_DETECTED, most, f"its words tell as much of {quote(best)} as of {quote(second)}")
    shown = sorted(found[best], key=lambda proof: (-proof.weight, proof.word))[:_SHOWN]
    return Detection(best, most, "by " + ", ".join(f"{proof.word} ({proof.place})" for proof in shown))


def _proofs(said: Said) -> Iterator[_Proof]:
    yield from _by_words(_words(said.id), "id", _NAME_COUNTS)
    yield from _by_words(_words(said.title), "title", _NAME_COUNTS)
    yield from _by_words(_words(said.prompt[:_READ]), "prompt", 1)
    for path in said.files:
        yield from _by_path(path, "file")
    for argument in said.command[:_ARGUMENTS]:
        if len(argument) <= _LONGEST_ARGUMENT and not argument.isspace() and len(argument.split()) == 1:
            yield from _by_argument(argument)


def _by_argument(argument: str) -> Iterator[_Proof]:
    name = PurePosixPath(argument).name.lower()
    for role, programs in PROGRAMS.items():
        if name in programs:
            yield _Proof(role, name, "command", _ENOUGH)
    yield from _by_words(_words(argument), "command", 1)
    yield from _by_path(argument, "command")


def _by_path(path: str, place: str) -> Iterator[_Proof]:
    """By its folders and its ending; the words of a name count too."""
    parts = PurePosixPath(path.lower())
    for role, folders in FOLDERS.items():
        for part in folders.intersection(parts.parts[:-1]):
            yield _Proof(role, part, place, _NAME_COUNTS)
    for role, endings in ENDINGS.items():
        if parts.suffix in endings:
            yield _Proof(role, parts.suffix, place, _NAME_COUNTS)
    yield from _by_words(_words(parts.stem), place, 1)


def _by_words(words: Iterable[str], place: str, counts: int) -> Iterator[_Proof]:
    for word in words:
        for role, weights in WORDS.items():
            if word in weights:
                yield _Proof(role, word, place, weights[word] * counts)


def _words(text: str) -> set[str]:
    """A word with hyphens is one, and each of its parts is."""
    found = set(_WORD.findall(text.lower().replace("_", "-")))
    return found.union(*(word.split("-") for word in found))
