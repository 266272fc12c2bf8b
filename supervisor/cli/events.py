"""``callboard events``: the records of a run."""

from pathlib import Path

__all__ = ["events"]


def events(
    run: str | None = None,
    /,
    *,
    after: int = 0,
    follow: bool = False,
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Print the records of a run, one a line.

    Parameters
    ----------
    run
        The beginning of its id (default: the run that started last).
    after
        Begin behind the record of this number (default: with the first one).
    follow
        Go on until the run ends.
    json
        Print the records as they are stored, with their numbers.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import sys  # noqa: PLC0415 - `--help` need not wait for these

    from protocols.errors import InputError  # noqa: PLC0415
    from protocols.event_codec import encode_record  # noqa: PLC0415
    from supervisor.fleets import find_fleet  # noqa: PLC0415
    from supervisor.following import read_batches  # noqa: PLC0415
    from supervisor.record_text import record_line  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415

    if after < 0:
        raise InputError(f"--after: {after} is no number of a record; write 0 for all of them")
    fleet = find_fleet(open_settings(state, config).state, run)
    for batch in read_batches(fleet, after, follow=follow):
        lines = [encode_record(record) if json else record_line(record).encode() for record in batch]
        sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
        sys.stdout.buffer.flush()
