"""``callboard restart``: end a worker of the supervisor and begin its next attempt."""

from pathlib import Path

__all__ = ["restart"]


def restart(worker: str, /, *, grace: str | None = None, state: Path | None = None, config: Path | None = None) -> None:
    """End a worker of the supervisor (callboard up), if it runs, and begin another attempt at once.

    Parameters
    ----------
    worker
        Its name, as callboard ps shows it; of one in a submitted run such as demo/lint.
    grace
        How long it gets between TERM and KILL, such as 10s (default: what its task says).
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.commands import RestartTask  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.acting import restart_worker  # noqa: PLC0415
    from supervisor.cli.durations import read_grace  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    command = RestartTask(task=worker, grace=read_grace(grace))
    done = restart_worker(open_settings(state, config).state, command)
    print(f"restarted {done.task or worker}, attempt {done.attempt}")
