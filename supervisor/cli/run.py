"""``callboard run``: one plan, in the foreground."""

from pathlib import Path
from typing import Literal

__all__ = ["run"]


def run(
    plan: Path,
    /,
    *,
    output: Literal["plain", "json"] = "plain",
    show_output: bool = False,
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
        plain (default): one line for each change of state. json: one record a line.
    show_output
        Print the workers' lines too, behind the names of their tasks.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    from supervisor.runner import run_plan  # noqa: PLC0415 - `--help` need not wait for it
    from supervisor.settings import open_settings  # noqa: PLC0415

    return run_plan(plan, open_settings(state, config), output=output, show_output=show_output)
