"""``callboard spawn``: one more worker for the supervisor."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["spawn"]


def spawn(
    *command: Annotated[str, Parameter(name="COMMAND")],
    name: Annotated[str | None, Parameter(name=["--id", "--name"])] = None,
    cwd: Path | None = None,
    env: tuple[str, ...] = (),
    source: Literal["pipe", "pty", "tmux", "logfile"] | None = None,
    role: str | None = None,
    timeout: str | None = None,
    quiet_timeout: str | None = None,
    grace: str | None = None,
    retries: int | None = None,
    shell: bool = False,
    stdin: Literal["none", "pipe"] | None = None,
    wait: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Start a command as one more worker of the supervisor (callboard up), and print its name.

    Write -- before the command: callboard spawn --timeout 10m -- pytest -q

    Parameters
    ----------
    command
        The program and its arguments; with --shell one text.
    name
        What it is to be called (default: made of the program).
    cwd
        Where it works (default: the current folder).
    env
        NAME=VALUE; may be said several times.
    source
        Where its output comes from: pipe (default), pty, tmux or logfile.
    role
        What it is; as in a plan.
    timeout
        For each attempt, such as 10m.
    quiet_timeout
        Without a byte of output, such as 2m.
    grace
        Between TERM and KILL, such as 10s.
    retries
        Further attempts after a failed one.
    shell
        The command is one text for a shell.
    stdin
        pipe: callboard send reaches it.
    wait
        Wait for its end; the exit code is 1 where that is a bad one.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from protocols.commands import SpawnWorker  # noqa: PLC0415 - `--help` need not wait for these
    from supervisor.acting import spawn_worker  # noqa: PLC0415
    from supervisor.cli.waiting import tell_end  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.spawning import task_table  # noqa: PLC0415

    said = {
        "id": name,
        "source": source,
        "role": role,
        "timeout": timeout,
        "quiet_timeout": quiet_timeout,
        "grace": grace,
        "retries": retries,
        "stdin": stdin,
    }
    table = task_table(command, env, said, shell=shell)
    wanted = SpawnWorker(task=table, cwd=str((cwd or Path()).absolute()))
    end = spawn_worker(open_settings(state, config).state, wanted, partial(print, flush=True), wait=wait)
    return 0 if end is None else tell_end(end)
