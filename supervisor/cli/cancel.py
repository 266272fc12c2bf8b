"""``callboard cancel``: let a task or a run not begin, or end it."""

from pathlib import Path

__all__ = ["cancel"]


def cancel(name: str, /, *, state: Path | None = None, config: Path | None = None) -> None:
    """Let a task of the supervisor (callboard up) not begin. One that runs is stopped, as is a run that was submitted.

    Parameters
    ----------
    name
        Of the task, as callboard ps shows it, or of the run: its name or its id.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.commands import CancelTask  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.acting import cancel_named  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    done = cancel_named(open_settings(state, config).state, CancelTask(task=name, reason="callboard cancel"))
    print(f"cancelled {done.task or name}")
