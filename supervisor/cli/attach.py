"""``callboard attach``: the pane of tmux in which a worker runs, in this terminal."""

from pathlib import Path

__all__ = ["attach"]


def attach(run: str, task: str | None = None, /, *, state: Path | None = None, config: Path | None = None) -> None:
    """Open the pane in which a task runs (source tmux). Leaving it, by C-b d, changes nothing.

    Parameters
    ----------
    run
        The beginning of the run's id; where it is left out, the supervisor (callboard up) is meant, or, where none ran
        here, the latest run.
    task
        The id of the task.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import os  # noqa: PLC0415 - `--help` need not wait for these

    from protocols.errors import InputError  # noqa: PLC0415
    from supervisor.attaching import attach_command, find_pane  # noqa: PLC0415
    from supervisor.instance_tree import find_task  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.up_state import find_main, find_named  # noqa: PLC0415

    folder = open_settings(state, config).state
    fleet = find_main(folder) if task is None else find_named(folder, run)
    pane = find_pane(*find_task(fleet, run if task is None else task))
    command = attach_command(pane, os.environ)
    if not (os.isatty(0) and os.isatty(1)):
        raise InputError(f"attach: this is no terminal; run it in one, or: {' '.join(command)}")
    os.execv(command[0], command)  # noqa: S606 - for the person who asked
