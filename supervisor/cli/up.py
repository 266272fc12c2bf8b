"""``callboard up``: the supervisor that stays."""

from pathlib import Path
from typing import Literal

__all__ = ["up"]


def up(
    *,
    output: Literal["plain", "json"] = "plain",
    host: str | None = None,
    port: int | None = None,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Supervise in the foreground until somebody wants the end.

    It begins without tasks and takes some while it lives. Its workers are durable: killed, it takes them up again when
    it is started anew. The first Ctrl-C or TERM stops it gracefully, a second one by force; HUP is ignored.

    Parameters
    ----------
    output
        plain: one line for each change of state. json: one record a line.
    host
        The address to listen on (default 127.0.0.1). Others need a certificate, see the settings.
    port
        The port there (default 3848; where that is taken, a free one). `port.json` in the folder of all runs tells it.
    state
        The folder of all runs (default .callboard). There is one `callboard up` for each.
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.settings import load_settings  # noqa: PLC0415 - `--help` need not wait for it
    from supervisor.up import run_up  # noqa: PLC0415

    overrides = {"state": None if state is None else str(state), "port.host": host, "port.port": port}
    return run_up(load_settings(Path.cwd(), config=config, overrides=overrides), output=output)
