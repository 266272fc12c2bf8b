"""``callboard runs``: what ran here, and what came of it."""

from pathlib import Path

__all__ = ["runs"]


def runs(*, json: bool = False, state: Path | None = None, config: Path | None = None) -> None:
    """List the runs of this folder, the one that started last first.

    Runs whose supervisor was killed are concluded first: what they left behind is ended.

    Parameters
    ----------
    json
        Print one JSON object a line.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import time  # noqa: PLC0415 - `--help` need not wait for these

    import msgspec  # noqa: PLC0415

    from protocols.wording import escaped  # noqa: PLC0415
    from supervisor.listing import list_runs, render_runs  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.table import terminal_width  # noqa: PLC0415

    folder = open_settings(state, config).state
    found = list_runs(folder)
    if json:
        for run in found:
            print(msgspec.json.encode(run).decode())
    elif found:
        print(render_runs(found, time.time(), terminal_width()))
    else:
        print(f"no runs in {escaped(str(folder))}; start one with: callboard run PLAN.toml")
