"""What came out of a run, as it is told at its end: a table, and where the report lies."""

from contextlib import suppress
from pathlib import Path

from actors.display import write_all
from protocols.errors import InputError
from supervisor.fleets import Fleet
from supervisor.identity import Identity
from supervisor.locks import lock_owner
from supervisor.report import Report, build_report, read_report
from supervisor.report_files import keep_report
from supervisor.report_text import summary_table
from supervisor.sweep import conclude
from supervisor.table import terminal_width
from supervisor.task_logs import have_task_logs
from supervisor.views import read_view

__all__ = ["EXIT_CODES", "find_report", "read_identity", "tell_summary"]

EXIT_CODES = {"succeeded": 0, "failed": 1, "interrupted": 130}
"""By outcome."""


def find_report(fleet: Fleet) -> Report:
    """The report that the run wrote, or, where it did not, what it would say. Raise InputError, JournalError.

    Where it was killed while it wrote, the files that are missing are written now.
    """
    identity = read_identity(fleet)
    conclude(fleet)
    found = read_report(fleet.folder)
    if found is None:
        found = build_report(fleet.folder, identity, read_view(fleet.folder.journal))
    elif have_task_logs(fleet.folder, found):
        return found
    if found.outcome is not None and not fleet.is_alive():
        with suppress(OSError):  # a folder that can only be read is told of all the same
            keep_report(fleet.folder, found)
    return found


def read_identity(fleet: Fleet) -> Identity:
    """Raise InputError for a run that is damaged."""
    if fleet.identity is None:
        keeper = f"; its keeper lives (pid {lock_owner(fleet.folder.keeper_lock)})" if fleet.keeper_lives() else ""
        what = f"damaged: {fleet.problem}{keeper}"
        raise InputError(f'run "{fleet.name}": {what}; see what is left in {fleet.folder.root}')
    return fleet.identity


def tell_summary(report: Report, path: Path) -> None:
    """Print it behind an empty line, ``path`` of the report as short as it can be from here."""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    where = f"\nreport: {shown}" if path.exists() else ""
    write_all(1, f"\n{summary_table(report, terminal_width())}{where}\n".encode(), wait=False)
