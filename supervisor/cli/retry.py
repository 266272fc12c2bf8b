"""``callboard retry``: run some tasks of an ended run again."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["retry"]


def retry(
    name: str | None = None,
    /,
    *,
    origins: Annotated[tuple[str, ...], Parameter(name="--from")] = (),
    only: bool = False,
    output: Literal["live", "plain", "json"] | None = None,
    show_output: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Run some tasks of an ended run again, and what depends on them; or a worker of the supervisor that is over.

    With --from, all others stay as they came out, and what they gave is there. The attempts of a task go on in number,
    and its retries count anew. The report of the pass before is kept as report.1.json and report.1.md.

    Parameters
    ----------
    name
        With --from: the id of a run or the beginning of it (default: the latest). Without: a worker of the supervisor
        (callboard up), or a run that was submitted, by its name or its id; one that is over and did not succeed.
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
    from supervisor.settings import open_settings  # noqa: PLC0415 - `--help` need not wait for it

    settings = open_settings(state, config)
    if not origins:
        return _retry_worker(settings.state, name)
    from supervisor.retrying import retry_run  # noqa: PLC0415

    return retry_run(name, settings, origins=origins, only=only, output=output, show_output=show_output)


def _retry_worker(state: Path, name: str | None) -> int:
    from protocols.commands import RetryTask  # noqa: PLC0415
    from protocols.errors import InputError  # noqa: PLC0415
    from supervisor.acting import retry_named  # noqa: PLC0415

    if name is None:
        raise InputError("--from is missing, or the name of a worker of the supervisor; see: callboard retry --help")
    done = retry_named(state, RetryTask(task=name))
    print(f"retries {done.task or name}")
    return 0
