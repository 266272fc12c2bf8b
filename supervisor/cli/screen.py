"""``callboard screen``: what the terminal of a task shows."""

from pathlib import Path

__all__ = ["screen"]


def screen(
    run: str,
    task: str,
    /,
    *,
    attempt: int | None = None,
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Print what the terminal of a task shows, as plain text.

    Parameters
    ----------
    run
        The beginning of the run's id.
    task
        The id of the task.
    attempt
        The number of the attempt (default: the last one).
    json
        Print one JSON object instead of text.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import sys  # noqa: PLC0415 - `--help` need not wait for these

    import msgspec  # noqa: PLC0415

    from supervisor.fleets import find_fleet  # noqa: PLC0415
    from supervisor.following import Log  # noqa: PLC0415
    from supervisor.instance_tree import find_task  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.terminal_view import read_picture  # noqa: PLC0415

    fleet, name = find_task(find_fleet(open_settings(state, config).state, run), task)
    picture = read_picture(Log(fleet, name, attempt))
    if json:
        print(msgspec.json.encode(picture).decode())
        return
    print("\n".join(picture.lines))
    if not picture.settled:
        print("warning: it goes on changing; this is one moment of it", file=sys.stderr)
