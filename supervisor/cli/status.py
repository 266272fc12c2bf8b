"""``callboard status``: how a run stands."""

from pathlib import Path

__all__ = ["status"]


def status(
    run: str | None = None, /, *, json: bool = False, state: Path | None = None, config: Path | None = None
) -> None:
    """Show how a run stands, with the evidence.

    Parameters
    ----------
    run
        The name of a run that was submitted, or the id of a run or the beginning of it (default: that of the
        supervisor, callboard up, where one lives, else the latest).
    json
        Print one JSON object instead of text.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import msgspec  # noqa: PLC0415 - `--help` need not wait for these

    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.standing import read_status, render_status  # noqa: PLC0415
    from supervisor.table import terminal_width  # noqa: PLC0415

    found = read_status(open_settings(state, config).state, run)
    print(msgspec.json.encode(found).decode() if json else render_status(found, terminal_width()))
