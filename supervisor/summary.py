"""What came out of a run, as it is told at its end: a table, and where the report lies."""

from pathlib import Path

from actors.display import write_all
from protocols.errors import InputError
from supervisor.fleets import Fleet
from supervisor.identity import Identity
from supervisor.locks import lock_owner
from supervisor.report import Report, build_report, read_report
from supervisor.report_text import summary_table
from supervisor.sweep import conclude
from supervisor.table import terminal_width
from supervisor.views import read_view

__all__ = ["EXIT_CODES", "find_report", "read_identity", "tell_summary"]

EXIT_CODES = {"succeeded": 0, "failed": 1, "interrupted": 130}
"""By outcome."""


def find_report(fleet: Fleet) -> Report:
    """The report that the run wrote, or, where it did not, what it would say. Raise InputError, JournalError."""
    identity = read_identity(fleet)
    conclude(fleet)
    found = read_report(fleet.folder)
    return found if found is not None else build_report(fleet.folder, identity, read_view(fleet.folder.journal))


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
