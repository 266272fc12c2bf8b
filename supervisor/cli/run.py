"""``callboard run``: one plan, in the foreground."""

import os
from pathlib import Path
from typing import Literal

__all__ = ["run"]


def run(
    plan: Path,
    /,
    *,
    output: Literal["live", "plain", "json"] | None = None,
    show_output: bool = False,
    durable: bool = False,
    dry_run: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> int:
    """Run a plan in the foreground.

    The first Ctrl-C, TERM or HUP stops it gracefully, a second one by force.

    Parameters
    ----------
    plan
        The TOML file of the plan.
    output
        live (default on a terminal): a picture of all workers. plain (default elsewhere): one line for each change of
        state. json: one record a line.
    show_output
        Print the workers' lines too, behind the names of their tasks. Plain only.
    durable
        Let the workers go on if callboard is killed: `callboard resume` takes them up again.
    dry_run
        Print what would run, each task with its texts as its first attempt would get them. Nothing is started or
        written. Text, or with `--output json` one JSON object.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.settings import open_settings  # noqa: PLC0415 - `--help` need not wait for it

    if dry_run:
        from supervisor.dry_run_text import describe_run  # noqa: PLC0415 - no other run needs it

        print(describe_run(plan, open_settings(state, config), durable=durable, as_json=output == "json"))
        return 0
    if "CALLBOARD_INSTANCE" in os.environ:  # another callboard has started us
        from supervisor.instances import run_instance  # noqa: PLC0415 - as above

        return run_instance(plan, open_settings(state, config), output=output, show_output=show_output)
    from supervisor.runner import run_plan  # noqa: PLC0415

    return run_plan(plan, open_settings(state, config), output=output, show_output=show_output, durable=durable)
