"""``callboard logs``: what a task wrote, byte for byte."""

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["logs"]


def logs(
    name: str,
    task: str | None = None,
    /,
    *,
    stderr: bool = False,
    log: bool = False,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    part: Annotated[str | None, Parameter(name="--range")] = None,
    attempt: int | None = None,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Print what a task wrote, byte for byte but for the secrets that the plan names.

    Parameters
    ----------
    name
        Of a worker of the supervisor (callboard up), or, where none ran here, of a task of the latest run; of one in a
        submitted run or an instance such as build/itp-7. Before TASK: the beginning of a run's id.
    task
        A task of that run.
    stderr
        What it wrote to standard error instead of standard output; a task on a terminal has only one stream.
    log
        What was read of the log file that it follows; of a task that has no command that is all there is.
    follow
        Go on until the attempt has ended.
    part
        OFFSET:LENGTH, in bytes; without LENGTH up to the end.
    attempt
        The number of the attempt (default: the last one).
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import sys  # noqa: PLC0415 - `--help` need not wait for these

    from protocols.errors import InputError, JournalError  # noqa: PLC0415
    from supervisor.following import Log, warn_detached  # noqa: PLC0415
    from supervisor.instance_tree import find_task  # noqa: PLC0415
    from supervisor.redacting import Part  # noqa: PLC0415
    from supervisor.salvage import find_output, read_part  # noqa: PLC0415
    from supervisor.secrets import open_redactor  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.up_state import find_main, find_named  # noqa: PLC0415

    if stderr and log:
        raise InputError("--stderr and --log: only one of them can be printed; leave one out")
    start, length = _parse_range(part)
    folder = open_settings(state, config).state
    fleet, found = find_task(find_main(folder), name) if task is None else find_task(find_named(folder, name), task)
    wanted = Log(fleet, found, attempt, stderr, log)
    part_of = Part(open_redactor(fleet.folder), start, length)
    try:
        wanted.check(follow=follow)
        chunks = wanted.read(*part_of.wider, follow=follow)
    except JournalError as error:
        path = find_output(fleet.folder, wanted.task, attempt, stderr=stderr, log=log)
        print(f"warning: {error}; what follows is all of {path}", file=sys.stderr)
        chunks = read_part(path, *part_of.wider)
    for chunk in part_of.redact(chunks):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    if follow:
        warn_detached(fleet)


def _parse_range(text: str | None) -> tuple[int, int | None]:
    from protocols.errors import InputError  # noqa: PLC0415

    if text is None:
        return 0, None
    match = re.fullmatch(r"([0-9]{1,18}):([0-9]{0,18})", text)
    if match is None:
        raise InputError(f'--range: "{text}" is not OFFSET:LENGTH; write it like 0:4096, or 4096: for all the rest')
    return int(match[1]), int(match[2]) if match[2] else None
