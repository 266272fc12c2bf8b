"""``callboard deny``: refuse what a session waits for."""

from pathlib import Path

__all__ = ["deny"]


def deny(
    worker: str,
    /,
    *,
    permission: str | None = None,
    message: str = "",
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Refuse what a worker of the supervisor (callboard up) waits for. Who waits for what: callboard approve.

    Parameters
    ----------
    worker
        Its name, as callboard ps shows it.
    permission
        The id of what is asked, where it waits for several things.
    message
        What the agent is told.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.cli.permissions import print_reply  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.settings import open_settings  # noqa: PLC0415

    print_reply(open_settings(state, config).state, worker, permission, "reject", message)
