"""The real command ``callboard run`` for tests: in a folder of its own, and nothing of it is left at the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from actors.journal_file import read_records
from actors.keeper_process.marks import find_marked
from actors.keeper_process.procfs import Process
from protocols.events import Event, Record
from protocols.ids import WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from supervisor.fleets import Fleet, find_fleets
from supervisor.report import AttemptReport, Report, TaskReport, read_report
from tests.keeper_client import end_process

__all__ = ["CALLBOARD", "RunningPlan", "callboard", "python", "resumed", "running", "start", "table", "task"]

CALLBOARD = Path(sys.executable).with_name("callboard")
SHORT = '[stop]\nlinger = "100ms"\n'
"""Settings for workers that leave something behind, which is then not waited for as long as usual."""
_PATIENCE = 25.0
_PAUSE = 0.01

_E = TypeVar("_E")


def callboard(
    cwd: Path, *arguments: str, code: int = 0, before: tuple[str, ...] = (), patience: float = _PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run another command of callboard in this folder to its end, and fail if its exit code is another one.

    ``before``: a command such as ``setpriv`` that is to start it.
    """
    done = subprocess.run(
        [*before, CALLBOARD, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    assert done.returncode == code, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def task(name: str, command: str | list[str], **keys: object) -> str:
    """A task of a plan; a command that is one string is a shell script."""
    said = {"id": name, "command": command, **({"shell": True} if isinstance(command, str) else {}), **keys}
    return table("[[tasks]]", said)


def table(header: str, keys: Mapping[str, object]) -> str:
    """Any part of a plan."""
    return f"{header}\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())


def python(name: str, script: str, **keys: object) -> str:
    """A task that is a program of the standard library alone; it starts fast."""
    return task(name, [sys.executable, "-I", "-S", "-c", script], **keys)


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + "".join(_escaped(character) for character in value) + '"'
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{ {', '.join(f'{_toml(key)} = {_toml(item)}' for key, item in value.items())} }}"
        case _:
            return str(value)


def _escaped(character: str) -> str:
    return character if character.isprintable() and character not in '"\\' else f"\\U{ord(character):08x}"


class RunningPlan:
    """One run, and what can be seen of it from outside. Nothing waits for ever: a test fails instead."""

    def __init__(self, cwd: Path, process: subprocess.Popen[bytes]) -> None:
        self.cwd = cwd
        self.process = process
        self._records: list[Record] = []

    @property
    def fleet(self) -> Fleet:
        """As it is on disk once the run has begun."""
        self.wait_until(lambda: bool(find_fleets(self.cwd / ".callboard")))
        return find_fleets(self.cwd / ".callboard")[-1]

    @property
    def folder(self) -> FleetFolder:
        return self.fleet.folder

    @property
    def stdout(self) -> bytes:
        return (self.cwd / "stdout").read_bytes()

    @property
    def stderr(self) -> str:
        return (self.cwd / "stderr").read_text()

    @property
    def report(self) -> Report:
        report = read_report(self.folder)
        assert report is not None, self.stderr
        return report

    def task(self, name: str) -> TaskReport:
        """What the report says of a task."""
        return next(task for task in self.report.tasks if task.id == name)

    def attempt(self, name: str, number: int = 1) -> AttemptReport:
        """What the report says of an attempt."""
        return self.task(name).attempts[number - 1]

    def spool_path(self, name: str, attempt: int = 1, stream: Stream = "stdout") -> Path:
        return self.folder.spool(WorkerId(name), attempt, stream)

    def spool(self, name: str, attempt: int = 1, stream: Stream = "stdout") -> bytes:
        return self.spool_path(name, attempt, stream).read_bytes()

    def records(self) -> list[Record]:
        """All that are in the journal now."""
        if self.folder.journal.exists():
            self._records += read_records(self.folder.journal, len(self._records))
        return self._records

    def events(self, kind: type[_E], name: str | None = None) -> list[_E]:
        """Those of one kind, of one worker or task if it is named, in order."""
        return [event for event in self._events(name) if isinstance(event, kind)]

    def wait_for(self, kind: type[_E], name: str | None = None, count: int = 1) -> _E:
        """The event of this kind that is the ``count``-th one, as soon as it is in the journal."""
        self.wait_until(lambda: len(self.events(kind, name)) >= count)
        return self.events(kind, name)[count - 1]

    def wait_for_output(self, name: str, text: bytes, stream: Stream = "stdout") -> bytes:
        """The output of the first attempt so far, once ``text`` is in it. It may grow faster than anybody reads."""
        path = self.spool_path(name, 1, stream)
        read = bytearray()

        def is_there() -> bool:
            if path.exists():
                with path.open("rb") as file:
                    file.seek(len(read))
                    read.extend(file.read(2**20))
            return text in read

        self.wait_until(is_there)
        return bytes(read)

    def wait_until(self, condition: Callable[[], bool], patience: float = _PATIENCE) -> None:
        """Look again and again while the run lives; its end is the last chance."""
        deadline = time.monotonic() + patience
        while True:
            ended = self.process.poll() is not None
            if condition():
                return
            assert not ended, f"the run ended before: {self.stdout!r} {self.stderr}"
            assert time.monotonic() < deadline, f"it never came true: {self.stdout!r} {self.stderr}"
            time.sleep(_PAUSE)

    def marked(self) -> list[Process]:
        """All living processes of the run, its supervisor left out."""
        return _marked(self.fleet)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(_PATIENCE)

    def finish(self, code: int = 0) -> None:
        """Wait for the end, and fail if that is another one."""
        assert self.wait() == code, f"{self.stdout!r} {self.stderr}"

    def close(self) -> None:
        """End what still runs, by force. What a run that ended by itself has left behind fails the test."""
        code = self.process.poll()
        by_itself = code is not None and code >= 0
        self.process.kill()
        self.process.wait()
        fleets = find_fleets(self.cwd / ".callboard")
        left = [process for fleet in fleets for process in _marked(fleet)] if by_itself else []
        keepers = [fleet.name for fleet in fleets if fleet.keeper_lives()] if by_itself else []
        for fleet in fleets:
            _end(fleet)
        assert not left, f"the run left processes behind: {left}"
        assert not keepers, f"the run left its keeper behind: {keepers}"

    def _events(self, name: str | None) -> list[Event]:
        events = [record.event for record in self.records()]
        return events if name is None else [event for event in events if name in _names(event)]


def _names(event: Event) -> set[str | None]:
    return {getattr(event, "worker", None), getattr(event, "task", None)}


def _end(fleet: Fleet) -> None:
    """The keeper ends its attached workers when its supervisor is gone; what it does not end is ended here."""
    if fleet.identity is not None and fleet.identity.durable != "none":
        for process in _marked(fleet):
            end_process(process.pid)
    deadline = time.monotonic() + _PATIENCE
    while fleet.keeper_lives():
        assert time.monotonic() < deadline, f"the keeper of {fleet.folder.root} does not end"
        time.sleep(_PAUSE)
    for process in _marked(fleet):
        end_process(process.pid)


def _prepare(more: Callable[[], None] | None) -> None:
    for signo in (signal.SIGINT, signal.SIGHUP):  # the tests may run in the background, where they are ignored
        signal.signal(signo, signal.SIG_DFL)
    if more is not None:
        more()


def _marked(fleet: Fleet) -> list[Process]:
    return [] if fleet.identity is None else find_marked(fleet.identity.fleet)


@contextmanager
def running(
    cwd: Path,
    *plan: str,
    options: tuple[str, ...] = (),
    settings: str = "",
    env: Mapping[str, str] | None = None,
    before: tuple[str, ...] = (),
    prepare: Callable[[], None] | None = None,
) -> Iterator[RunningPlan]:
    """Run a plan of these parts in a folder; what the command prints goes to files there.

    ``before``: a command such as ``unshare`` that becomes the supervisor. ``env`` adds to our environment,
    ``settings`` is the text of ``callboard.toml``, ``prepare`` is called in the process that becomes the supervisor.
    """
    (cwd / "plan.toml").write_text("\n".join(plan))
    if settings:
        (cwd / "callboard.toml").write_text(settings)
    run = RunningPlan(cwd, start(cwd, ["run", "plan.toml", *options], env, before, prepare))
    try:
        yield run
    finally:
        run.close()


@contextmanager
def resumed(
    cwd: Path, *options: str, env: Mapping[str, str] | None = None, before: tuple[str, ...] = ()
) -> Iterator[RunningPlan]:
    """Go on with the latest run of a folder. ``env`` adds to our environment, ``before`` is as in `running`."""
    run = RunningPlan(cwd, start(cwd, ["resume", *options], env, before))
    try:
        yield run
    finally:
        run.close()


def start(
    cwd: Path,
    arguments: Sequence[str],
    env: Mapping[str, str] | None = None,
    before: tuple[str, ...] = (),
    prepare: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    with (cwd / "stdout").open("wb") as stdout, (cwd / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            [*before, CALLBOARD, *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=lambda: _prepare(prepare),  # noqa: PLW1509 - no threads here
            start_new_session=True,
        )
