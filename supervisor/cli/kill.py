"""``callboard kill``: end a worker of the supervisor at once."""

from pathlib import Path

__all__ = ["kill"]


def kill(worker: str, /, *, state: Path | None = None, config: Path | None = None) -> None:
    """End a worker of the supervisor (callboard up) and all of its processes at once. It is not retried.

    Parameters
    ----------
    worker
        Its name, as callboard ps shows it; of one in a submitted run such as demo/lint.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.acting import kill_worker  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.settings import open_settings  # noqa: PLC0415

    done = kill_worker(open_settings(state, config).state, worker)
    print(f"killed {done.task or worker}")
