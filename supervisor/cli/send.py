"""``callboard send``: type a text for a running task."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["send"]


def send(
    run: str,
    task: str,
    text: str,
    /,
    *,
    enter: Annotated[bool, Parameter(negative="--no-enter")] = True,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Type a text for a running task, as a person at its terminal would, or write it to its stdin = "pipe".

    Parameters
    ----------
    run
        The beginning of the run's id.
    task
        The id of the task.
    text
        What to type, at most 4000 bytes; it may be empty.
    enter
        Press Enter behind it (default), or not.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.control import SendParams  # noqa: PLC0415 - `--help` need not wait for these
    from protocols.ids import TaskId  # noqa: PLC0415
    from supervisor.sending import send_text  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    print(send_text(open_settings(state, config).state, run, SendParams(TaskId(task), text, enter)))
