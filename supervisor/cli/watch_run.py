"""``callboard watch-run``: a run that somebody else started."""

from pathlib import Path
from typing import Literal

__all__ = ["watch_run"]


def watch_run(
    run: str | None = None,
    /,
    *,
    output: Literal["live", "plain", "json"] | None = None,
    show_output: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Show a run that somebody else started, until it ends.

    Ctrl-C leaves it, and the run goes on. The exit code is that of the run.

    Parameters
    ----------
    run
        The beginning of its id (default: the run that started last).
    output
        live (default on a terminal): a picture of all workers. plain (default elsewhere): one line for each change of
        state. json: one record a line.
    show_output
        Print the workers' lines too, behind the names of their tasks. Plain only.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor import watching  # noqa: PLC0415 - `--help` need not wait for it
    from supervisor.settings import open_settings  # noqa: PLC0415

    return watching.watch_run(run, open_settings(state, config), output=output, show_output=show_output)
