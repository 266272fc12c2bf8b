"""What Ctrl-C does next to a run, said to whoever looks at it."""

from protocols.durations import format_duration
from protocols.states import RunView

__all__ = ["tell_interrupt", "tell_order"]

_SIGNAL = "SIG"  # a stop that a signal asked for names it; any other was asked for by a client


def tell_interrupt(view: RunView, now: float, *, leaves: bool = False) -> str:
    """One line. ``leaves``: it is somebody else's run, of which we only look on. ``now`` in Unix time."""
    if leaves:
        return "Ctrl-C leaves; the run goes on"
    stopping = view.stopping
    if stopping is None:
        return "Ctrl-C stops the run: TERM, then KILL after each task's grace; a second one kills at once"
    ours = stopping.reason.startswith(_SIGNAL)
    if not stopping.grace:
        return "KILL was sent to all workers" + ("; Ctrl-C leaves at once" if ours else "")
    # In whole seconds, for a figure that changes more often cannot be read.
    rest = max(round(stopping.at + stopping.grace - now), 0)
    kill = f"KILL follows in {format_duration(rest)} at most" if rest else "KILL follows now"
    return f"TERM was sent to all workers, {kill}; {'Ctrl-C' if ours else 'Ctrl-C, twice,'} kills at once"


def tell_order(reason: str, grace: float | None) -> str:
    """One line for a stop that was asked for just now, by a signal. ``grace`` 0: by force."""
    if grace == 0:
        return f"{reason}: KILL goes to all workers; Ctrl-C leaves at once"
    return f"{reason}: TERM goes to all workers; Ctrl-C kills at once"
