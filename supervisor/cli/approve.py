"""``callboard approve``: allow what a session waits for."""

from pathlib import Path

__all__ = ["approve"]


def approve(
    worker: str | None = None,
    /,
    *,
    permission: str | None = None,
    always: bool = False,
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Allow what a worker of the supervisor (callboard up) waits for. Without a name, list who waits for what.

    Parameters
    ----------
    worker
        Its name, as callboard ps shows it.
    permission
        The id of what is asked, where it waits for several things.
    always
        From now on too, for the like of it in this session.
    json
        Without a name: print one JSON object a line.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.cli.permissions import print_open, print_reply  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.settings import open_settings  # noqa: PLC0415

    folder = open_settings(state, config).state
    if worker is None:
        print_open(folder, json=json)
    else:
        print_reply(folder, worker, permission, "always" if always else "once")
