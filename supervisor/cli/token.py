"""``callboard token``: a token of the port for somebody else."""

from pathlib import Path
from typing import Literal

__all__ = ["token"]


def token(
    *,
    scope: Literal["read", "operate", "admin"] = "read",
    name: str = "guest",
    valid: str | None = None,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Print a token for the port of `callboard up`, made from that of the admin. A new admin's token ends it.

    Parameters
    ----------
    scope
        What it allows: to look (read), to act on tasks too (operate), or everything (admin).
    name
        Whose it is, for the records of who did what: up to 64 of A-Z a-z 0-9 _ -.
    valid
        For how long, such as 12h (default: until the admin's token changes).
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import time  # noqa: PLC0415 - `--help` need not wait for these

    from protocols.errors import InputError  # noqa: PLC0415
    from protocols.layout import StateFolder  # noqa: PLC0415
    from protocols.tokens import Grant, make_token  # noqa: PLC0415
    from supervisor.cli.durations import read_flag  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.token_file import load_token  # noqa: PLC0415

    expires = 0 if valid is None else int(time.time() + read_flag("--valid", valid)) + 1
    folder = StateFolder(open_settings(state, config).state)
    if not folder.token.exists():
        raise InputError(f"{folder.token}: there is none yet; `callboard up` makes it")
    try:
        print(make_token(load_token(folder.token), Grant(scope=scope, name=name, expires=expires)))
    except ValueError as error:
        raise InputError(f"--name: {error}") from error
