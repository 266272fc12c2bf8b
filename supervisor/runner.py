"""A foreground run as a whole: checks before, the run, its report after, the exit code."""

import logging
import shutil
from pathlib import Path

import trio

from actors.journal_file import open_journal, read_records
from actors.messages import Said
from protocols.errors import FleetError, JournalError, StateError
from protocols.layout import FleetFolder
from protocols.states import RunView
from supervisor.app import Run
from supervisor.files import replace_file
from supervisor.fleets import NewFleet, create_fleet, find_fleet
from supervisor.output import Output, choose_output, make_text
from supervisor.plans import load_plan
from supervisor.report import Report, build_report, write_report
from supervisor.report_text import write_markdown
from supervisor.run_log import Sayer, log_to, warn
from supervisor.settings import Settings
from supervisor.state import open_state, state_error
from supervisor.summary import EXIT_CODES, tell_summary
from supervisor.sweep import conclude, conclude_all
from supervisor.version import VERSION

__all__ = ["run_plan"]

logger = logging.getLogger(__name__)

_SAID = 64


def run_plan(path: Path, settings: Settings, *, output: Output | None, show_output: bool) -> int:
    """Run a plan and return the exit code. Raise InputError or StateError before anything has started."""
    output = choose_output(output, show_output=show_output)
    loaded = load_plan(path, Path.cwd(), grace=settings.stop.grace)
    state = open_state(settings.state)
    conclude_all(state)
    with create_fleet(state, plan=str(path), cwd=str(Path.cwd()), version=VERSION) as fleet:
        _prepare(fleet.folder, loaded.source)
        outbox, said = trio.open_memory_channel[Said](_SAID)
        text = make_text(output, fleet.folder, show_output=show_output, max_line=settings.stream.max_line, said=said)
        sayer = Sayer(outbox) if output == "live" else None
        haste, failure = _supervise(Run(fleet=fleet, loaded=loaded, settings=settings, text=text, sayer=sayer))
    conclude(find_fleet(state, fleet.identity.run))  # only where the run did not come to its own end
    report = _report(fleet)
    if output != "json" and not haste:
        tell_summary(report, fleet.folder.report_markdown)
    if haste:
        warn(f"left in haste: {haste}; see: callboard report {fleet.identity.run}")
    if failure is not None:
        raise failure
    return EXIT_CODES[report.outcome or "interrupted"]


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
    with log_to(folder, run.sayer):
        try:
            return trio.run(run.run), None
        except* (FleetError, OSError) as group:
            logger.exception("the run failed")
            causes = "; ".join(_causes(group))
    return "", FleetError(f"{folder.root}: callboard failed: {causes}; its workers were ended; see {folder.log}")


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
        warn(f"{fleet.folder.root}: the report cannot be written: {error.strerror}; `callboard report` shows it")
    return report
