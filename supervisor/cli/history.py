"""``callboard history``: what became of workers."""

from pathlib import Path

__all__ = ["history"]


def history(
    name: str | None = None, /, *, json: bool = False, state: Path | None = None, config: Path | None = None
) -> None:
    """List all attempts of the workers of the supervisor (callboard up), the latest first; or those of one worker.

    They are read from the journal of its run; where no supervisor ran here, of the run that started last.

    Parameters
    ----------
    name
        Of a worker, as callboard ps --all shows it (default: of all).
    json
        Print one JSON object a line.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import msgspec  # noqa: PLC0415 - `--help` need not wait for these

    from supervisor.attempt_history import read_history, render_history  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.table import terminal_width  # noqa: PLC0415

    found = read_history(open_settings(state, config).state, name)
    if json:
        for line in found:
            print(msgspec.json.encode(line).decode())
    else:
        print(render_history(found, terminal_width()))
