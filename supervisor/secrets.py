"""The secrets of a plan: read where it says they are, given to workers, and known again in what is shown."""

import os
import secrets
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path

import msgspec

from actors.files import replace_file
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.plan import Task
from protocols.redaction import SHORTEST, Fingerprint, Redactor, take_fingerprints
from protocols.secrets import SecretSource
from protocols.wording import quote
from supervisor.state import state_error

__all__ = ["Secrets", "keep_fingerprints", "named_values", "open_redactor", "place_secrets", "read_all"]

_LONGEST = 64 * 1024  # together with its name less than Linux takes as a variable
_SALT = 16
_SET_IT = "; set it, or name another source"
_ASK_ABOVE = " in this instance; give it by secrets of the task that is the instance"
_decoder = msgspec.json.Decoder(tuple[Fingerprint, ...])


class Secrets(dict[SecretSource, str]):
    """Values by where they stand. They are never shown by accident."""

    def __repr__(self) -> str:
        return f"Secrets of {len(self)} sources"


def place_secrets(task: Task, start: Path, base: Mapping[str, str]) -> Task:
    """With absolute paths; ``~`` is the home folder."""

    def place(found: Mapping[str, SecretSource]) -> dict[str, SecretSource]:
        return {
            name: SecretSource(file=str(start / _expand(source.file, base))) if source.file else source
            for name, source in found.items()
        }

    if task.secrets:
        task = msgspec.structs.replace(task, secrets=place(task.secrets))
    if task.prompting is not None and task.prompting.agent.secrets:
        agent = msgspec.structs.replace(task.prompting.agent, secrets=place(task.prompting.agent.secrets))
        task = msgspec.structs.replace(task, prompting=msgspec.structs.replace(task.prompting, agent=agent))
    return task


def _expand(path: str, base: Mapping[str, str]) -> str:
    home = base.get("HOME", "")
    return home + path[1:] if home and (path == "~" or path.startswith("~/")) else path


def read_all(
    tasks: Sequence[Task], base: Mapping[str, str], leave: Collection[TaskId], *, inner: bool = False
) -> tuple[Secrets, list[str]]:
    """The values of all that these tasks and their agents name, and what is wrong with them, each thing once.

    ``base``: our environment; ``inner``: it is that of an instance. Those that only tasks to ``leave`` name may be
    missing.
    """
    values, problems = Secrets(), dict[str, str]()
    for place, source, needed in _wanted(tasks, leave):
        if source in values:
            continue
        value, problem = _read(source, base, _ASK_ABOVE if inner else _SET_IT)
        if not problem:
            values[source] = value
        elif needed:
            problems.setdefault(problem, f"{place}: {problem}")
    return values, [*problems.values()]


def _wanted(tasks: Sequence[Task], leave: Collection[TaskId]) -> Iterator[tuple[str, SecretSource, bool]]:
    for index, task in enumerate(tasks):
        for name, source in task.secrets.items():
            yield f"{task.place(index)}.secrets.{name}", source, task.id not in leave
        if task.prompting is not None:
            agent = task.prompting.agent
            for name, source in agent.secrets.items():
                yield f"agents.{agent.name}.secrets.{name}", source, task.id not in leave


def _read(source: SecretSource, base: Mapping[str, str], advice: str) -> tuple[str, str]:
    """The value, or what is wrong. Messages never hold anything of it. ``advice``: for who lacks a variable."""
    if source.env:
        value, who = base.get(source.env, ""), f"the variable {quote(source.env)}"
        if not value:
            return "", f"{who} is not set{advice}"
    else:
        value, problem = _read_file(source.file)
        who = quote(source.file)
        if problem:
            return "", f"{who} {problem}"
    if len(value.encode("utf-8", "surrogateescape")) < SHORTEST:
        return "", f"{who} holds less than {SHORTEST} bytes, which cannot be told from other text; use a longer secret"
    return value, ""


def _read_file(path: str) -> tuple[str, str]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # opening a pipe would wait for its writer
    except OSError as error:
        return "", f"cannot be read: {(error.strerror or 'it fails').lower()}; it must be there before the run starts"
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return "", "is no file; name one"
        if status.st_uid != os.geteuid():
            return "", "belongs to another user; a secret has to be in a file of ours"
        if status.st_mode & 0o077:
            return "", f"can be read by others (mode {stat.S_IMODE(status.st_mode):04o}); run chmod 600 on it"
        data = os.read(fd, _LONGEST + 1)
    except OSError as error:
        return "", f"cannot be read: {(error.strerror or 'it fails').lower()}"
    finally:
        os.close(fd)
    if len(data) > _LONGEST:
        return "", "is larger than 64 KiB; no variable can hold that"
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return "", "is no UTF-8 text; no variable can hold it as it is"
    return ("", "holds a NUL character, which no variable can") if "\0" in text else (text, "")


def named_values(tasks: Iterable[Task], values: Mapping[SecretSource, str]) -> Iterator[tuple[str, str]]:
    """Each name with its value; one name may have several."""
    for task in tasks:
        agents = () if task.prompting is None else (task.prompting.agent.secrets,)
        for found in (task.secrets, *agents):
            for name, source in found.items():
                if source in values:
                    yield name, values[source]


def keep_fingerprints(folder: FleetFolder, named: Iterable[tuple[str, str]]) -> None:
    """For those who show what the workers of this run have printed. Earlier ones stay: so does what they printed.

    Raise StateError.
    """
    prints: dict[tuple[str, str], Fingerprint] = {}
    old = _read_fingerprints(folder)
    known = Redactor.of_fingerprints(old)
    for name, value in named:
        if not all(known.finds(line.strip().encode()) for line in value.splitlines() if len(line) >= SHORTEST):
            lines = take_fingerprints([(name, value)], (secrets.token_bytes(_SALT) for _ in repeat(None)))
            prints |= {(each.name, each.digest): each for each in lines}
    try:
        if prints:
            replace_file(folder.secrets, msgspec.json.encode((*old, *prints.values())))
    except OSError as error:
        raise state_error(folder.secrets, error) from error


def open_redactor(folder: FleetFolder) -> Redactor:
    """Of the secrets that this run has, or had."""
    return Redactor.of_fingerprints(_read_fingerprints(folder))


def _read_fingerprints(folder: FleetFolder) -> tuple[Fingerprint, ...]:
    try:
        return _decoder.decode(folder.secrets.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ()
