"""``callboard down``: end the supervisor."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["down"]


def down(
    *,
    leave_workers: bool = False,
    force: bool = False,
    grace: str | None = None,
    wait: Annotated[bool, Parameter(negative="--no-wait")] = True,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """End the supervisor (callboard up), its workers too.

    Parameters
    ----------
    leave_workers
        Let the workers go on: the next callboard up takes them up.
    force
        Kill the workers at once instead of asking first.
    grace
        How long a worker gets between TERM and KILL, such as 10s (default: what its task says).
    wait
        Return when it is gone (default), or at once when its end has begun.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.commands import ShutDown  # noqa: PLC0415 - `--help` need not wait for these
    from protocols.errors import InputError  # noqa: PLC0415
    from supervisor.cli.durations import read_grace  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.up_control import end_up  # noqa: PLC0415

    if sum((leave_workers, force, grace is not None)) > 1:
        raise InputError("--leave-workers, --force and --grace: one excludes the others; leave them out")
    command = ShutDown(
        workers="leave" if leave_workers else "stop",
        grace=0.0 if force else read_grace(grace),
        reason="callboard down",
    )
    told = end_up(open_settings(state, config).state, command, wait=wait)
    workers = "its workers go on; take them up with: callboard up" if leave_workers else "its workers have ended"
    if not wait:
        workers = "its workers go on" if leave_workers else "it stops its workers"
    print(f"the supervisor (run {told.run}, pid {told.pid}) {'is gone' if wait else 'is about to end'}, {workers}")
