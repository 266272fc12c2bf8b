"""``callboard ps``: the workers."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["ps"]


def ps(
    *,
    everything: Annotated[bool, Parameter(name=["--all", "-a"])] = False,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"])] = False,
    every: str = "2s",
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """List the workers of the supervisor (callboard up): those that wait and those that run.

    Where no supervisor runs, those of its last run as the journal tells them, or of the run that started last.

    Parameters
    ----------
    everything
        Those that are over too.
    watch
        Go on, until Ctrl-C.
    every
        How long to wait between two looks (default 2s).
    json
        Print one JSON object a line for each worker; to watch, one with all of them for each look.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.cli.durations import read_flag  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.cli.worker_views import show_workers, watch_workers  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    folder = open_settings(state, config).state
    if watch:
        watch_workers(folder, everything=everything, json=json, every=max(read_flag("--every", every), 0.1))
    else:
        show_workers(folder, everything=everything, json=json)
