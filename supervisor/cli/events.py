"""``callboard events``: the records of a run."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["events"]


def events(
    run: str | None = None,
    /,
    *,
    after: int = 0,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    topics: Annotated[tuple[str, ...], Parameter(name="--topic")] = (),
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Print the records of a run, one a line.

    Parameters
    ----------
    run
        The name of a run that was submitted, or the id of a run or the beginning of it (default: that of the
        supervisor, callboard up, where one lives, else the latest).
    after
        Begin behind the record of this number (default: with the first one).
    follow
        Go on until the run ends. A restart of the supervisor is only a pause.
    topics
        Only those about this, such as error, complete, stuck, state, task, log; may be said several times.
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
    from protocols.events import Record  # noqa: PLC0415
    from supervisor.event_reading import read_topics, tell_events  # noqa: PLC0415
    from supervisor.record_text import record_line  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.up_state import find_named  # noqa: PLC0415

    if after < 0:
        raise InputError(f"--after: {after} is no number of a record; write 0 for all of them")

    def tell(batch: list[Record]) -> None:
        lines = [encode_record(record) if json else record_line(record).encode() for record in batch]
        sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
        sys.stdout.buffer.flush()

    wanted = read_topics(topics)
    folder = open_settings(state, config).state
    tell_events(folder, find_named(folder, run), after, wanted, tell, follow=follow)
