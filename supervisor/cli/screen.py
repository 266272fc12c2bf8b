"""``callboard screen``: what the terminal of a task shows."""

from pathlib import Path

__all__ = ["screen"]


def screen(
    name: str,
    task: str | None = None,
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
    name
        Of a worker of the supervisor (callboard up), or, where none ran here, of a task of the latest run. Before TASK:
        the beginning of a run's id.
    task
        A task of that run.
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

    from supervisor.following import Log  # noqa: PLC0415
    from supervisor.instance_tree import find_task  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.terminal_view import read_picture  # noqa: PLC0415
    from supervisor.up_state import find_main, find_named  # noqa: PLC0415

    folder = open_settings(state, config).state
    fleet, found = find_task(find_main(folder), name) if task is None else find_task(find_named(folder, name), task)
    picture = read_picture(Log(fleet, found, attempt))
    if json:
        print(msgspec.json.encode(picture).decode())
        return
    print("\n".join(picture.lines))
    if not picture.settled:
        print("warning: it goes on changing; this is one moment of it", file=sys.stderr)
