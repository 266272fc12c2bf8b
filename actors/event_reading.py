"""Records of a journal by their numbers, as far as somebody wants them."""

from pathlib import Path

import msgspec
import trio

from actors.journal_file import read_records
from protocols.event_codec import encode_record
from protocols.events import Record
from protocols.port_params import ReadParams
from protocols.port_results import ReadResult
from protocols.port_view import run_of
from protocols.states import RunView

__all__ = ["read_events"]


async def read_events(journal: Path, view: RunView, params: ReadParams) -> ReadResult:
    """``view``: of the same fleet, to know which runs its instances have. Raise `JournalError`."""
    last = view.last_seq if params.upto is None else min(params.upto, view.last_seq)
    count = min(params.limit, last - params.after)
    page = await trio.to_thread.run_sync(_read, journal, params.after, count) if count > 0 else []
    wanted = params.filter
    records = [each for each in page if wanted.wants(each.event, lambda path: run_of(view, path))]
    upto = page[-1].seq if page else max(params.after, last)
    return ReadResult(records=tuple(msgspec.Raw(encode_record(each)) for each in records), upto=upto, more=upto < last)


def _read(journal: Path, after: int, count: int) -> list[Record]:
    return list(read_records(journal, after, limit=count))
