"""``callboard instances``: the callboards below the supervisor."""

from pathlib import Path

__all__ = ["instances"]


def instances(*, json: bool = False, state: Path | None = None, config: Path | None = None) -> None:
    """List the callboards below that of the supervisor (callboard up): submitted runs, and instances of those.

    Where no supervisor runs, those of its last run as the journal tells them, or of the run that started last.

    Parameters
    ----------
    json
        Print one JSON object a line.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import msgspec  # noqa: PLC0415 - `--help` need not wait for these

    from supervisor.instance_reading import read_instances, render_instances  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.table import terminal_width  # noqa: PLC0415

    found = read_instances(open_settings(state, config).state)
    if json:
        for line in found:
            print(msgspec.json.encode(line).decode())
    else:
        print(render_instances(found, terminal_width()))
