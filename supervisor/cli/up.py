"""``callboard up``: the supervisor that stays."""

from pathlib import Path
from typing import Literal

__all__ = ["up"]


def up(
    *,
    detach: bool = False,
    wait: bool = False,
    patience: str = "60s",
    output: Literal["plain", "json"] = "plain",
    host: str | None = None,
    port: int | None = None,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Supervise until somebody wants the end.

    It begins without tasks and takes some while it lives. Its workers are durable: killed, it takes them up again when
    it is started anew. The first Ctrl-C or TERM stops it gracefully, a second one by force; HUP is ignored.

    Parameters
    ----------
    detach
        Go on in the background, without a terminal. Return when it is ready, or has failed. It logs to `up.log` in the
        folder of all runs, unless the settings say where.
    wait
        Start nothing: return when the supervisor that somebody else starts is ready, or 3 where it does not get so.
    patience
        How long --detach and --wait wait.
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
    from supervisor.cli.durations import read_flag  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.settings import load_settings  # noqa: PLC0415

    overrides = {"state": None if state is None else str(state), "port.host": host, "port.port": port}
    settings = load_settings(Path.cwd(), config=config, overrides=overrides)
    if wait:
        from supervisor.up_control import wait_until_up  # noqa: PLC0415

        told = wait_until_up(settings.state, read_flag("--patience", patience))
        print(f"the supervisor is ready: run {told.run}, pid {told.pid}")
        return 0
    if detach:
        from supervisor.detaching import start_detached  # noqa: PLC0415
        from supervisor.instance_plans import callboard_program  # noqa: PLC0415

        flags = [f"--{name.rpartition('.')[2]}={value}" for name, value in overrides.items() if value is not None]
        flags += [] if config is None else [f"--config={config}"]
        return start_detached([callboard_program(), "up", *flags], patience=read_flag("--patience", patience))
    from supervisor.up import run_up  # noqa: PLC0415 - it brings all actors

    return run_up(settings, output=output)
