"""``callboard restart``: end a worker and begin its next attempt, or start the supervisor itself anew."""

from pathlib import Path

__all__ = ["restart"]


def restart(
    worker: str | None = None,
    /,
    *,
    grace: str | None = None,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """End a worker of the supervisor (callboard up), if it runs, and begin another attempt at once.

    Without a name, start the supervisor itself anew, such as after an upgrade: in the same process, with the sockets
    that it has. Workers and submitted runs do not notice, clients wait.

    Parameters
    ----------
    worker
        Its name, as callboard ps shows it; of one in a submitted run such as demo/lint. None: the supervisor.
    grace
        How long it gets between TERM and KILL, such as 10s (default: what its task says).
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.commands import RestartTask  # noqa: PLC0415 - `--help` need not wait for these
    from protocols.errors import InputError  # noqa: PLC0415
    from supervisor.acting import restart_worker  # noqa: PLC0415
    from supervisor.cli.durations import read_grace  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    if worker is None:
        from supervisor.up_control import restart_up  # noqa: PLC0415

        if grace is not None:
            raise InputError("--grace: is for a worker; name one, or leave it out")
        told = restart_up(open_settings(state, config).state, "callboard restart")
        return print(f"the supervisor (run {told.run}, pid {told.pid}) has started anew, callboard {told.version}")
    command = RestartTask(task=worker, grace=read_grace(grace))
    done = restart_worker(open_settings(state, config).state, command)
    print(f"restarted {done.task or worker}, attempt {done.attempt}")
    return None
