"""``callboard runs``: what ran here, and what came of it."""

from pathlib import Path

__all__ = ["runs"]

_ORDER = ("succeeded", "running", "retrying", "pending", "failed", "timed-out", "stopped", "skipped")


def runs(*, json: bool = False, state: Path | None = None, config: Path | None = None) -> None:
    """List the runs of this folder, the one that started last first.

    Runs whose supervisor was killed are concluded first: what they left behind is ended.

    Parameters
    ----------
    json
        Print one JSON object a line.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import msgspec  # noqa: PLC0415 - `--help` need not wait for these

    from protocols.wording import printable  # noqa: PLC0415
    from supervisor.cli.terminal import terminal_width  # noqa: PLC0415
    from supervisor.listing import list_runs  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.table import one_line, render_table  # noqa: PLC0415

    folder = open_settings(state, config).state
    found = list_runs(folder)
    if json:
        for run in found:
            print(msgspec.json.encode(run).decode())
    elif found:
        titles = ("run", "status", "started", "time", "tasks", "plan")
        rows = [_row(run.run, run.status, run.started_at, run.ended_at, run.counts, run.plan) for run in found]
        print(render_table(titles, rows, right=("time",), width=terminal_width()))
        for run in found:
            if run.problem:
                print(one_line(f"{run.run}: {run.problem}"))
    else:
        print(f"no runs in {printable(str(folder))}; start one with: callboard run PLAN.toml")


def _row(
    run: str, status: str, started_at: float, ended_at: float | None, counts: dict[str, int], plan: str
) -> tuple[str, ...]:
    import time  # noqa: PLC0415

    from supervisor.report_text import format_seconds  # noqa: PLC0415

    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started_at))
    seconds = None if ended_at is None else max(ended_at - started_at, 0.0)
    told = [f"{counts[each]} {each}" for each in _ORDER if counts.get(each)]
    return run, status, started, format_seconds(seconds), ", ".join(told), plan
