"""``callboard stop``: end a run that somebody else started."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["stop"]


def stop(
    run: str | None = None,
    /,
    *,
    force: bool = False,
    grace: str | None = None,
    wait: Annotated[bool, Parameter(negative="--no-wait")] = True,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Stop a run and wait for its end.

    Parameters
    ----------
    run
        The id of the run or the beginning of it (default: the latest).
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
    from protocols.control import StopParams  # noqa: PLC0415 - `--help` need not wait for these
    from protocols.durations import parse_duration  # noqa: PLC0415
    from protocols.errors import InputError  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.stopping import stop_run  # noqa: PLC0415

    if force and grace is not None:
        raise InputError("--force and --grace: one excludes the other; leave one of them out")
    try:
        seconds = 0.0 if force else None if grace is None else parse_duration(grace)
    except ValueError as error:
        raise InputError(f"--grace: {error}") from error
    params = StopParams(grace=seconds, reason="callboard stop --force" if force else "callboard stop")
    print(stop_run(open_settings(state, config), run, params, wait=wait))
