"""``callboard top``: the workers that run, and what they take."""

from pathlib import Path

__all__ = ["top"]


def top(
    *,
    every: str = "2s",
    once: bool = False,
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Show the workers that run, with CPU time, memory and how fast they print, until Ctrl-C.

    CPU and memory are those of the first process of a worker and of all that descend from it.

    Parameters
    ----------
    every
        How long to wait between two looks (default 2s).
    once
        Look twice, print one table and end; the default where standard output is no terminal.
    json
        Print one JSON object a line for each worker.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import sys  # noqa: PLC0415 - `--help` need not wait for these

    from supervisor.cli.durations import read_flag  # noqa: PLC0415
    from supervisor.cli.worker_views import show_top  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    seconds = max(read_flag("--every", every), 0.1)
    show_top(open_settings(state, config).state, every=seconds, once=once or not sys.stdout.isatty(), json=json)
