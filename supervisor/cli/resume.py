"""``callboard resume``: go on with a run whose supervisor is gone."""

from pathlib import Path
from typing import Literal

__all__ = ["resume"]


def resume(
    run: str | None = None,
    /,
    *,
    output: Literal["live", "plain", "json"] | None = None,
    show_output: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Go on with a run whose callboard was killed.

    Workers that live are adopted, what ended meanwhile is told as it ended, and tasks that were done stay done.

    Parameters
    ----------
    run
        The id of the run or the beginning of it (default: the latest).
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
    from supervisor.resuming import resume_run  # noqa: PLC0415 - `--help` need not wait for it
    from supervisor.settings import open_settings  # noqa: PLC0415

    return resume_run(run, open_settings(state, config), output=output, show_output=show_output)
