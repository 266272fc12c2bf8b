"""``callboard send``: type a text for a running task."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["send"]


def send(
    name: str,
    task: str,
    text: str | None = None,
    /,
    *,
    enter: Annotated[bool, Parameter(negative="--no-enter")] = True,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Type a text for a running task, as a person at its terminal would, or write it to its stdin = "pipe".

    Parameters
    ----------
    name
        Of a worker of the supervisor (callboard up), or, where none ran here, of a task of the latest run. Where three
        words follow: the beginning of a run's id.
    task
        A task of that run. Where only two words follow: the text.
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
    from supervisor.up_state import find_main, find_named  # noqa: PLC0415

    folder = open_settings(state, config).state
    if text is None:
        fleet, task, text = find_main(folder), name, task
    else:
        fleet = find_named(folder, name)
    print(send_text(fleet, SendParams(TaskId(task), text, enter)))
