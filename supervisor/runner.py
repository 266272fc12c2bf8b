"""A foreground run as a whole: checks before, the run, its report after, the exit code."""

import logging
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from actors.files import replace_file
from actors.journal_file import open_journal, read_records
from actors.ledger_file import open_ledger
from actors.messages import Said
from protocols.errors import FleetError, JournalError, LedgerError, StateError
from protocols.fleet_events import SupervisorLeft
from protocols.instances import Handover
from protocols.layout import FleetFolder
from protocols.resumption import Resumption
from protocols.states import RunView
from supervisor.app import Run
from supervisor.fleets import Fleet, NewFleet, create_fleet, find_fleet
from supervisor.identity import Durable
from supervisor.output import Output, choose_output, make_text
from supervisor.plan_texts import keep_schemas
from supervisor.plans import LoadedPlan, load_plan, make_durable
from supervisor.report import Report, build_report
from supervisor.report_files import keep_report
from supervisor.run_log import Sayer, log_to, warn
from supervisor.secrets import keep_fingerprints, named_values
from supervisor.serving import Serve
from supervisor.settings import Settings
from supervisor.state import open_state, state_error
from supervisor.summary import EXIT_CODES, tell_summary
from supervisor.sweep import conclude, conclude_all
from supervisor.version import VERSION

__all__ = ["Course", "End", "prepare_run", "run_plan"]

logger = logging.getLogger(__name__)

_SAID = 64


def run_plan(
    path: Path,
    settings: Settings,
    *,
    output: Output | None,
    show_output: bool,
    durable: bool = False,
    handover: Handover | None = None,
) -> int:
    """Run a plan and return the exit code. Raise InputError or StateError before anything has started.

    ``durable``: all its workers are, whatever the plan says. ``handover``: of an instance.
    """
    output = choose_output(output, show_output=show_output)
    bounds = None if handover is None else handover.bounds
    loaded = load_plan(path, Path.cwd(), grace=settings.stop.grace, bounds=bounds)
    loaded = msgspec.structs.replace(loaded, handover=handover)
    for cut in loaded.cuts:
        warn(cut)
    state = open_state(settings.state)
    conclude_all(state)
    which = _which_durable(loaded, everything=durable)
    with create_fleet(state, plan=str(path), cwd=str(Path.cwd()), version=VERSION, durable=which) as fleet:
        prepare_run(fleet.folder, loaded)
        course = Course(fleet, make_durable(loaded) if durable else loaded, settings, output, show_output)
        end = course.run()
    return course.tell(find_fleet(state, fleet.identity.run), end)


@dataclass(frozen=True, slots=True)
class End:
    """How a run came to its end."""

    haste: str
    """Why it was left in haste; empty if it was not."""
    failure: FleetError | None
    """What ended it before its time."""
    left: SupervisorLeft | None = None
    """It has not ended: the next supervisor goes on with it."""


@dataclass(frozen=True, slots=True)
class Course:
    """A run of this process, and how it is shown."""

    fleet: NewFleet
    loaded: LoadedPlan
    settings: Settings
    output: Output
    show_output: bool
    resumption: Resumption | None = None
    fd: int = 1
    """Where it is shown."""
    serve: Serve | None = None
    """Makes its port, where it has one."""

    def run(self) -> End:
        """To its end, whatever that is. Raise StateError where nothing can be written down."""
        keep_fingerprints(self.fleet.folder, named_values(self.loaded.plan.tasks, self.loaded.secrets))
        outbox, said = trio.open_memory_channel[Said](_SAID)
        text = make_text(
            self.output,
            self.fleet.folder,
            show_output=self.show_output,
            max_line=self.settings.stream.max_line,
            said=said,
        )
        sayer = Sayer(outbox) if self.output == "live" else None
        return _supervise(
            Run(
                fleet=self.fleet,
                loaded=self.loaded,
                settings=self.settings,
                text=text,
                fd=self.fd,
                resumption=self.resumption,
                sayer=sayer,
                serve=self.serve,
            )
        )

    def tell(self, found: Fleet, end: End) -> int:
        """Write the report, tell what came out, and return the exit code. Raise the error that ended the run.

        ``found``: the fleet as it is on disk, its lock free.
        """
        if end.left is not None:
            again = "callboard up" if self.loaded.plan.standing else f"callboard resume {found.name}"
            warn(f"left ({end.left.reason}), its workers go on; take it up with: {again}")
            return 0
        conclude(found)  # only where the run did not come to its own end
        report = _report(self.fleet)
        if self.output != "json" and not end.haste and not self.loaded.plan.standing:
            tell_summary(report, self.fleet.folder.report_markdown)
        if end.haste:
            warn(f"left in haste: {end.haste}; see: callboard report {self.fleet.identity.run}")
        if end.failure is not None:
            raise end.failure
        return EXIT_CODES[report.outcome or "interrupted"]


def _which_durable(loaded: LoadedPlan, *, everything: bool) -> Durable:
    said = [task.durable for task in loaded.plan.tasks]
    return "all" if everything or all(said) else "some" if any(said) else "none"


def prepare_run(folder: FleetFolder, loaded: LoadedPlan) -> None:
    """What a run cannot begin without. Where that fails, nothing of the run is left; raise StateError."""
    try:
        replace_file(folder.plan, loaded.source)
        if loaded.manifest is not None:
            replace_file(folder.manifest, loaded.manifest)
        keep_schemas(folder, loaded.schemas)
        open_journal(folder.journal).close()
        open_ledger(folder.ledger).close()
    except (OSError, JournalError, LedgerError) as error:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise (state_error(folder.root, error) if isinstance(error, OSError) else StateError(str(error))) from error


def _supervise(run: Run) -> End:
    folder = run.fleet.folder
    standing = run.loaded.plan.standing  # it has a log of its own, see `supervisor.service_log`
    with nullcontext() if standing else log_to(folder, run.sayer):
        try:
            ending = trio.run(run.run)
            return End(ending.haste, None, ending.left)
        except* (FleetError, OSError) as group:
            logger.exception("the run failed")
            causes = "; ".join(_causes(group))
    durable = run.fleet.identity.durable != "none"
    again = "callboard up" if standing else f"callboard resume {folder.root.name}"
    what = f"go on with it: {again}" if durable else "its workers were ended"
    see = "" if standing else f"; see {folder.log}"
    return End("", FleetError(f"{folder.root}: callboard failed: {causes}; {what}{see}"))


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
        keep_report(fleet.folder, report)
    except OSError as error:
        warn(f"{fleet.folder.root}: the report cannot be written: {error.strerror}; `callboard report` shows it")
    return report
