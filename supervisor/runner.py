"""A foreground run as a whole: checks before, the run, its report after, the exit code."""

import logging
import os
import select
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Literal

import trio

from actors.display import JsonText, PlainText, write_all
from actors.journal_file import open_journal, read_records
from protocols.errors import FleetError, JournalError, StateError
from protocols.layout import FleetFolder
from protocols.states import RunView
from supervisor.app import Run
from supervisor.files import replace_file
from supervisor.fleets import NewFleet, create_fleet, find_fleet
from supervisor.plans import load_plan
from supervisor.report import Report, build_report, write_report
from supervisor.report_text import summary_table, write_markdown
from supervisor.settings import Settings
from supervisor.state import open_state, state_error
from supervisor.sweep import conclude, conclude_all
from supervisor.table import terminal_width
from supervisor.version import VERSION

__all__ = ["run_plan"]

logger = logging.getLogger(__name__)

_EXIT = {"succeeded": 0, "failed": 1, "interrupted": 130}


def run_plan(path: Path, settings: Settings, *, output: Literal["plain", "json"], show_output: bool) -> int:
    """Run a plan and return the exit code. Raise InputError or StateError before anything has started."""
    loaded = load_plan(path, Path.cwd(), grace=settings.stop.grace)
    state = open_state(settings.state)
    conclude_all(state)
    with create_fleet(state, plan=str(path), cwd=str(Path.cwd()), version=VERSION) as fleet:
        _prepare(fleet.folder, loaded.source)
        text = JsonText() if output == "json" else PlainText(fleet.folder, show_output, settings.stream.max_line)
        haste, failure = _supervise(Run(fleet=fleet, loaded=loaded, settings=settings, text=text))
    conclude(find_fleet(state, fleet.identity.run))  # only where the run did not come to its own end
    report = _report(fleet)
    if output == "plain" and not haste:
        summary = f"{summary_table(report, terminal_width())}\nreport: {_shown(fleet.folder.report_markdown)}"
        write_all(1, f"\n{summary}\n".encode(), wait=False)
    if haste:
        _warn(f"left in haste: {haste}; see: callboard report {fleet.identity.run}")
    if failure is not None:
        raise failure
    return _EXIT[report.outcome or "interrupted"]


def _prepare(folder: FleetFolder, plan: bytes) -> None:
    """What a run cannot begin without. Where that fails, nothing of the run is left; raise StateError."""
    try:
        replace_file(folder.plan, plan)
        open_journal(folder.journal).close()
    except (OSError, JournalError) as error:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise (state_error(folder.root, error) if isinstance(error, OSError) else StateError(str(error))) from error


def _supervise(run: Run) -> tuple[str, FleetError | None]:
    """Return why the run was left in haste, empty if it was not, and the error that ended it, if one did."""
    folder = run.fleet.folder
    with _log_to(folder):
        try:
            return trio.run(run.run), None
        except* (FleetError, OSError) as group:
            logger.exception("the run failed")
            causes = "; ".join(_causes(group))
    return "", FleetError(f"{folder.root}: callboard failed: {causes}; its workers were ended; see {folder.log}")


def _warn(text: str) -> None:
    """Unless nobody reads that either."""
    if select.select([], [2], [], 0)[1]:
        write_all(2, f"warning: {text}\n".encode(), wait=False)


def _causes(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    return [str(error)]


def _report(fleet: NewFleet) -> Report:
    view = RunView()
    for record in read_records(fleet.folder.journal):
        view.apply(record)
    report = build_report(fleet.folder, fleet.identity, view)
    try:
        write_report(fleet.folder, report)
        write_markdown(fleet.folder, report)
    except OSError as error:
        _warn(f"{fleet.folder.root}: the report cannot be written: {error.strerror}; `callboard report` shows it")
    return report


def _shown(path: Path) -> Path:
    """As short as it can be from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


class _LogFile(logging.FileHandler):
    def _open(self) -> TextIOWrapper:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(fd, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in the standard library
        """On a full disk the log goes without."""


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _warn(record.getMessage())


@contextmanager
def _log_to(folder: FleetFolder) -> Iterator[None]:
    """Log to the folder's file. That the journal cannot be written is told at once: no record can tell it."""
    file, warnings = _LogFile(folder.log, delay=True), _Warnings()
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, journal = logging.getLogger(), logging.getLogger("actors.journal")
    root.addHandler(file)
    journal.addHandler(warnings)
    try:
        yield
    finally:
        journal.removeHandler(warnings)
        root.removeHandler(file)
        file.close()
