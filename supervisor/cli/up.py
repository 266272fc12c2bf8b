"""``callboard up``: the supervisor that stays."""

from pathlib import Path
from typing import Literal

__all__ = ["up"]


def up(*, output: Literal["plain", "json"] = "plain", state: Path | None = None, config: Path | None = None) -> int:
    """Supervise in the foreground until somebody wants the end.

    It begins without tasks and takes some while it lives. Its workers are durable: killed, it takes them up again when
    it is started anew. The first Ctrl-C or TERM stops it gracefully, a second one by force; HUP is ignored.

    Parameters
    ----------
    output
        plain: one line for each change of state. json: one record a line.
    state
        The folder of all runs (default .callboard). There is one `callboard up` for each.
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.settings import open_settings  # noqa: PLC0415 - `--help` need not wait for it
    from supervisor.up import run_up  # noqa: PLC0415

    return run_up(open_settings(state, config), output=output)
