"""``callboard check``: whether a plan can run here, in which order, and with which environment."""

import os
from pathlib import Path

__all__ = ["check"]


def check(plan: Path, /, *, json: bool = False) -> None:
    """Say whether a plan can run here, in which order, and with which environment. Nothing is started.

    Parameters
    ----------
    plan
        The TOML file of the plan.
    json
        Print one JSON object instead of text.
    """
    import msgspec  # noqa: PLC0415 - `--help` need not wait for these

    from supervisor.plans import load_plan  # noqa: PLC0415
    from supervisor.survey import render, survey  # noqa: PLC0415
    from supervisor.table import terminal_width  # noqa: PLC0415

    loaded = load_plan(plan, Path.cwd())
    found = survey(loaded.plan, str(plan), os.environ, loaded.cuts)
    print(msgspec.json.encode(found).decode() if json else render(found, min(terminal_width() or 100, 100)))
