"""Reading a run from its journal, without the rows that only repeat what the spool says."""

from pathlib import Path
from typing import get_args

from actors.journal_file import last_seq, read_records
from protocols.events import Event
from protocols.states import RunView

__all__ = ["MILESTONES", "read_view", "update_view"]

_SAMPLES = {"worker.output", "worker.progress", "worker.heartbeat"}
MILESTONES = frozenset({str(kind.__struct_config__.tag) for kind in get_args(Event)} - _SAMPLES)
"""The tags of all events but the samples, of which there may be a million."""


def read_view(journal: Path, *, samples: bool = False) -> RunView:
    """A run as far as it got. Where there is no journal yet, it did not begin. Raise `JournalError`."""
    view = RunView()
    update_view(view, journal, samples=samples)
    return view


def update_view(view: RunView, journal: Path, *, samples: bool = False) -> None:
    """Apply what is new since the view was read."""
    if not journal.exists():
        return
    seen = last_seq(journal)
    for record in read_records(journal, view.last_seq, types=None if samples else MILESTONES):
        view.apply(record)
    view.last_seq = max(view.last_seq, seen)  # so that samples are not passed over again and again
