"""Shows a run of another process, from its journal and its spool, with the same actors as a run of our own."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, TypeAlias, TypeVar

import trio

from actors.display import JsonText, LiveText, PlainText
from actors.hub import Hub
from actors.journal_file import last_seq
from actors.keeper_process.procfs import read_process
from actors.messages import Said, Subscribe
from actors.orders import StopRun
from protocols.errors import FleetError, RestartLimitError
from protocols.events import Record
from protocols.fleet_events import ActorFailed
from supervisor.children import supervise
from supervisor.displays import display_child
from supervisor.fleets import Fleet, find_fleet
from supervisor.following import check_folder, read_batches, warn_detached
from supervisor.output import Output, choose_output, make_text
from supervisor.run_log import Sayer, tell_log, warn
from supervisor.settings import Settings
from supervisor.signals import obey_signals
from supervisor.summary import EXIT_CODES, find_report, read_identity, tell_summary
from supervisor.sweep import conclude, find_end

__all__ = ["watch_run"]

T = TypeVar("T")

_End: TypeAlias = Literal["ended", "left", "unread"]

_LEFT = 130
_STDOUT = 1
_PAUSE = 0.05
_LOOK_EVERY = 0.5
_REPORT_WITHIN = 2.0  # for the output of its own the supervisor may have to wait for ever
_SAID = 64
_STOPPED = frozenset("Tt")
_CONTINUE = "continue it with: fg, or kill -CONT {}"


def watch_run(prefix: str | None, settings: Settings, *, output: Output | None, show_output: bool) -> int:
    """Show a run to its end and return its exit code, or 130 when a signal ended the looking.

    Raise InputError, JournalError, and BrokenPipeError when nobody reads any more.
    """
    output = choose_output(output, show_output=show_output)
    fleet = find_fleet(settings.state, prefix)
    if output != "live" or not _is_over(fleet):  # of a run that is over no picture is left
        end = _show(fleet, output, show_output, settings)
        if end == "left":
            return _LEFT
        if end == "unread":
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    _wait_for_report(fleet)
    check_folder(fleet)
    report = find_report(fleet)
    if output != "json":
        tell_summary(report, fleet.folder.report_markdown)
    warn_detached(fleet)
    return EXIT_CODES[report.outcome or "interrupted"]


def _is_over(fleet: Fleet) -> bool:
    """Its supervisor may live on for a while, to show and write what came out."""
    return not fleet.is_alive() or (fleet.folder.journal.exists() and find_end(fleet) is not None)


def _wait_for_report(fleet: Fleet) -> None:
    """Its supervisor writes that last, when it has left the lock already."""
    deadline = time.monotonic() + _REPORT_WITHIN
    while not fleet.folder.report_markdown.exists() and time.monotonic() < deadline:
        if not fleet.is_alive() and not fleet.process_lives():
            return
        time.sleep(_PAUSE)


def _show(fleet: Fleet, output: Output, show_output: bool, settings: Settings) -> _End:
    outbox, said = trio.open_memory_channel[Said](_SAID)
    pid, max_line = read_identity(fleet).pid, settings.stream.max_line
    text = make_text(output, fleet.folder, show_output=show_output, max_line=max_line, leaves=True, said=said)
    sayer = Sayer(outbox) if output == "live" else None
    try:
        return trio.run(_Watch(fleet, pid, text, sayer).run)
    except* (FleetError, OSError) as group:
        check_folder(fleet)  # that explains it all
        raise _one_error(fleet, group) from None
    finally:
        if sayer is not None:
            sayer.release()


def _one_error(fleet: Fleet, group: BaseException) -> FleetError:
    errors = list(_causes(group))
    ours = [error for error in errors if isinstance(error, FleetError)]
    told = "; ".join(f"{type(error).__name__}: {error}" for error in errors)
    return ours[0] if ours else FleetError(f"run {fleet.name}: it cannot be shown, and goes on: {told}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    elif isinstance(error, RestartLimitError) and error.__cause__ is not None:
        yield from _causes(error.__cause__)
    else:
        yield error


@dataclass(frozen=True, slots=True)
class _Watch:
    """Somebody who looks on. A display subscribes to what a reader of the journal finds; all ends with the display."""

    fleet: Fleet
    pid: int
    """Of its supervisor."""
    text: JsonText | PlainText | LiveText
    sayer: Sayer | None
    """Says in the picture what no record tells; None: there is none, but standard error."""
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    async def run(self) -> _End:
        """Return why it is over. Errors come out in exception groups."""
        with trio.CancelScope() as everything:

            def leave(reason: str) -> None:
                everything.cancel(reason=reason)

            async def stop(order: StopRun) -> None:
                leave(order.reason)

            with tell_log(self._teller()):
                async with trio.open_nursery() as nursery:
                    await nursery.start(obey_signals, stop, leave)
                    nursery.start_soon(self._tell_stops)
                    read = await self._display()
                    nursery.cancel_scope.cancel(reason="the display has ended")
                return "ended" if read else "unread"
        return "left"

    async def _display(self) -> bool:
        """Return when all is shown; or, with False, when nobody reads any more."""
        records, to_hub = trio.open_memory_channel[Record](1024)
        requests, to_admit = trio.open_memory_channel[Subscribe](4)
        after = await self._in_thread(partial(_begin, self.fleet))
        # Whoever reads the journal for us would read on where nobody shows it: so this display is not parked.
        child = replace(display_child(self.text, self.fleet.folder, requests, _STDOUT), when_exhausted="escalate")
        async with trio.open_nursery() as nursery:
            await nursery.start(Hub(inbox=to_hub, requests=to_admit).run)
            nursery.start_soon(self._read, after, records)
            await supervise(child, self._report)
            complete = not to_hub.statistics().open_send_channels
            nursery.cancel_scope.cancel(reason="the display has ended")
        return complete

    async def _read(self, after: int | None, outbox: trio.MemorySendChannel[Record]) -> None:
        """Send what is new in the journal until the run ends; what was there before is read by whoever subscribes."""
        async with outbox:
            batches = iter(()) if after is None else read_batches(self.fleet, after, follow=True, pause=_pause)
            while batch := await self._in_thread(partial(next, batches, None)):
                for record in batch:
                    await outbox.send(record)

    async def _tell_stops(self) -> None:
        """A supervisor that is stopped writes no records, which looks as if nothing happened."""
        pid, stopped = self.pid, False
        while True:
            process = read_process(pid) if self.fleet.process_lives() else None  # None: it ended, or we cannot see it
            before, stopped = stopped, process is not None and process.state in _STOPPED
            if stopped and not before:
                self._say(f"the supervisor (pid {pid}) is stopped, its workers go on; {_CONTINUE.format(pid)}")
            elif before and not stopped:
                self._say("" if self.sayer or process is None else "the supervisor goes on")
            await trio.sleep(_LOOK_EVERY)

    def _say(self, text: str) -> None:
        if self.sayer is not None:
            self.sayer.say("supervisor", text)
        elif text:
            warn(text)

    def _teller(self) -> Callable[[str], None]:
        """Of what other threads find."""
        if self.sayer is None:
            return warn
        tell, token = self.sayer.warn, trio.lowlevel.current_trio_token()
        return lambda text: token.run_sync_soon(tell, text)

    async def _report(self, failure: ActorFailed) -> None:
        if failure.restart_in is not None and self.sayer is not None:
            self.sayer.warn(f"no picture can be shown, here are lines: {failure.error}")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Who leaves does not wait for it: it ends at its next pause."""
        return await trio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)


def _begin(fleet: Fleet) -> int | None:
    """Wait for the journal. Return the number behind which there is more to come, or None where that is not so."""
    journal = fleet.folder.journal
    while not journal.exists() and fleet.is_alive():
        _pause(_PAUSE)
    if not journal.exists():  # it was killed at once
        conclude(fleet)
    last = last_seq(journal)
    return last if find_end(fleet) is None else None


def _pause(seconds: float) -> None:
    """In a thread of trio. Raise what ends the thread once nobody waits for it any more."""
    trio.from_thread.run(trio.sleep, seconds)
