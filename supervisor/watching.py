"""Shows a run of another process, from its journal and its spool, with the same actors as a run of our own."""

import signal
from collections.abc import Callable
from functools import partial

import trio

from actors.hub import Hub
from actors.journal_file import last_seq
from actors.keeper_process.procfs import read_process
from actors.messages import Subscribe
from protocols.errors import FleetError
from protocols.events import Record
from supervisor.children import supervise
from supervisor.displays import display_child
from supervisor.fleets import Fleet, find_fleet
from supervisor.following import read_batches
from supervisor.output import Output, choose_output, make_text
from supervisor.run_log import Warnings, warn
from supervisor.settings import Settings
from supervisor.summary import EXIT_CODES, find_report, tell_summary

__all__ = ["watch_run"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LEFT = 130
_PAUSE = 0.05
_LOOK_EVERY = 1.0
_WARNINGS = 20
_STOPPED = "Tt"


def watch_run(prefix: str | None, settings: Settings, *, output: Output | None, show_output: bool) -> int:
    """Show a run to its end and return its exit code, or 130 when a signal ended the looking.

    Raise InputError, JournalError.
    """
    output = choose_output(output, show_output=show_output)
    fleet = find_fleet(settings.state, prefix)
    ended = not fleet.is_alive()
    if output != "live" or not ended:
        try:
            if not trio.run(_watch, fleet, output, show_output, settings):
                return _LEFT
        except* FleetError as group:
            raise _first(group) from None
    report = find_report(fleet)
    if output != "json":
        tell_summary(report, fleet.folder.report_markdown)
    return EXIT_CODES[report.outcome or "interrupted"]


async def _watch(fleet: Fleet, output: Output, show_output: bool, settings: Settings) -> bool:
    """Show all of it; False where somebody left before the end."""
    with trio.CancelScope() as everything:
        async with trio.open_nursery() as nursery:
            await nursery.start(_leave_at_signal, everything)
            await _wait_for_journal(fleet)
            if fleet.folder.journal.exists():
                await _show(fleet, output, show_output, settings)
            nursery.cancel_scope.cancel(reason="the run has ended")
    return not everything.cancelled_caught


async def _leave_at_signal(everything: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    """All signals but those that whoever started us has us ignore."""
    heard = [each for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*heard) as signals:
        task_status.started()
        number = await anext(signals)
        everything.cancel(reason=signal.Signals(number).name)


async def _wait_for_journal(fleet: Fleet) -> None:
    """It comes a moment after the folder, unless the run is killed in between."""
    while not fleet.folder.journal.exists() and fleet.is_alive():  # noqa: ASYNC110 - another process makes it
        await trio.sleep(_PAUSE)


async def _show(fleet: Fleet, output: Output, show_output: bool, settings: Settings) -> None:
    records, to_hub = trio.open_memory_channel[Record](1024)
    requests, to_admit = trio.open_memory_channel[Subscribe](4)
    told, warnings = trio.open_memory_channel[str](_WARNINGS)
    text = make_text(
        output,
        fleet.folder,
        show_output=show_output,
        max_line=settings.stream.max_line,
        leaves=True,
        warnings=warnings,
    )
    held = Warnings(told)
    try:
        async with trio.open_nursery() as showing:
            await showing.start(Hub(inbox=to_hub, requests=to_admit).run)
            await showing.start(partial(supervise, display_child(text, fleet.folder, requests, 1)))
            async with trio.open_nursery() as reading, records:
                reading.start_soon(_tell_stops, fleet, held.tell if output == "live" else warn)
                await _read(fleet, records)
                reading.cancel_scope.cancel(reason="there is nothing more to read")
    finally:
        held.release()


async def _read(fleet: Fleet, outbox: trio.MemorySendChannel[Record]) -> None:
    """Send what is new in the journal until the run ends: what is in it already is read by whoever subscribes."""
    batches = read_batches(fleet, last_seq(fleet.folder.journal), follow=True)
    limiter = trio.CapacityLimiter(1)
    while batch := await trio.to_thread.run_sync(next, batches, None, limiter=limiter, abandon_on_cancel=True):
        for record in batch:
            await outbox.send(record)


async def _tell_stops(fleet: Fleet, tell: Callable[[str], None]) -> None:
    """A supervisor that is stopped writes nothing, which looks as if nothing happened."""
    stopped = False
    while fleet.identity is not None:
        process = read_process(fleet.identity.pid) if fleet.process_lives() else None
        before, stopped = stopped, process is not None and process.state in _STOPPED
        if stopped and not before:
            pid = fleet.identity.pid
            tell(f"the supervisor (pid {pid}) is stopped, its workers go on; continue it with: fg, or kill -CONT {pid}")
        elif before and not stopped:
            tell("the supervisor goes on")
        await trio.sleep(_LOOK_EVERY)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
