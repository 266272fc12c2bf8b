"""``callboard retry``: run some tasks of an ended run again."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["retry"]


def retry(
    run: str | None = None,
    /,
    *,
    origins: Annotated[tuple[str, ...], Parameter(name="--from")],
    only: bool = False,
    output: Literal["live", "plain", "json"] | None = None,
    show_output: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Run some tasks of an ended run again, and what depends on them.

    All others stay as they came out, and what they gave is there. The attempts of a task go on in number, and its
    retries count anew. The report of the pass before is kept as report.1.json and report.1.md.

    Parameters
    ----------
    run
        The id of the run or the beginning of it (default: the latest).
    origins
        A task that is to run again; may be said several times.
    only
        Leave what depends on them as it is.
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
    from supervisor.retrying import retry_run  # noqa: PLC0415 - `--help` need not wait for it
    from supervisor.settings import open_settings  # noqa: PLC0415

    return retry_run(
        run, open_settings(state, config), origins=origins, only=only, output=output, show_output=show_output
    )
