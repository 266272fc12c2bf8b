"""``callboard stop``: end a run that somebody else started."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["stop"]


def stop(
    name: str | None = None,
    /,
    *,
    force: bool = False,
    grace: str | None = None,
    wait: Annotated[bool, Parameter(negative="--no-wait")] = True,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Stop a worker of the supervisor (callboard up), or a run, and wait for its end.

    Parameters
    ----------
    name
        Of a worker, as callboard ps shows it. Where no supervisor lives, or it has none of this name: the id of a run
        or the beginning of it (default: the latest run).
    force
        Kill at once instead of asking first.
    grace
        How long a worker gets between TERM and KILL, such as 10s (default: what its task says).
    wait
        Return when the run has ended (default), or at once when the stop is recorded.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.commands import StopTask  # noqa: PLC0415 - `--help` need not wait for these
    from protocols.control import StopParams  # noqa: PLC0415
    from protocols.errors import InputError  # noqa: PLC0415
    from supervisor.cli.durations import read_grace  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.stopping import stop_run  # noqa: PLC0415
    from supervisor.up_state import is_up  # noqa: PLC0415

    if force and grace is not None:
        raise InputError("--force and --grace: one excludes the other; leave one of them out")
    seconds = 0.0 if force else read_grace(grace)
    reason = "callboard stop --force" if force else "callboard stop"
    settings = open_settings(state, config)
    done = None
    if name is not None and is_up(settings.state):
        from supervisor.acting import stop_worker  # noqa: PLC0415 - for runs nothing of the port is needed

        done = stop_worker(settings.state, StopTask(task=name, grace=seconds, reason=reason))
    print(
        stop_run(settings, name, StopParams(grace=seconds, reason=reason), wait=wait)
        if done is None
        else f"stopped {done.task or name}"
    )
