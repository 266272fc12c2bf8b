"""``callboard submit``: one more plan for the supervisor."""

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["submit"]


def submit(
    plan: Path,
    /,
    *,
    name: Annotated[str | None, Parameter(name=["--id", "--name"])] = None,
    wait: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Have the supervisor (callboard up) run a plan, and print the name of the run.

    It is a callboard of its own below the supervisor; its tasks are called NAME/TASK.

    Parameters
    ----------
    plan
        The file. Its relative paths count from the current folder.
    name
        What the run is to be called (default: made of the name of the file).
    wait
        Wait for its end; the exit code is 1 where that is a bad one.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.commands import SubmitRun  # noqa: PLC0415 - `--help` need not wait for these
    from protocols.errors import InputError  # noqa: PLC0415
    from protocols.ids import TaskId  # noqa: PLC0415
    from supervisor.acting import submit_plan  # noqa: PLC0415
    from supervisor.cli.waiting import tell_end  # noqa: PLC0415
    from supervisor.input_files import decode_input, read_input  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    text = decode_input(read_input(plan, str(plan), InputError), str(plan), InputError)
    wanted = SubmitRun(plan=text, cwd=str(Path.cwd()), name=plan.name, id=None if name is None else TaskId(name))
    end = submit_plan(open_settings(state, config).state, wanted, partial(print, flush=True), wait=wait)
    return 0 if end is None else tell_end(end)
