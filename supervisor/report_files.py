"""All files that a report of a run comes to, on disk."""

from protocols.layout import FleetFolder
from supervisor.report import Report, write_report
from supervisor.report_text import write_markdown
from supervisor.task_logs import write_task_logs

__all__ = ["keep_report"]


def keep_report(folder: FleetFolder, report: Report) -> None:
    """Write the logs of its tasks, ``report.md`` and ``report.json``: where that is, the others are mostly too.

    Raise OSError, behind all that could be written, and JournalError.
    """
    failure: OSError | None = None
    for write in (write_task_logs, write_markdown, write_report):
        try:
            write(folder, report)
        except OSError as error:
            failure = failure or error
    if failure is not None:
        raise failure
