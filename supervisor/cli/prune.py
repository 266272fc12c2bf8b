"""``callboard prune``: remove old runs."""

from pathlib import Path

__all__ = ["prune"]


def prune(
    *,
    keep_runs: int | None = None,
    keep_days: float | None = None,
    dry_run: bool = False,
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Remove old runs with their output, never one that is running.

    Parameters
    ----------
    keep_runs
        How many of the latest runs stay (default: the setting retention.keep_runs).
    keep_days
        Days after which even these go (default: the setting retention.keep_days).
    dry_run
        Only say what would go.
    json
        Print one JSON object instead of text.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import time  # noqa: PLC0415 - `--help` need not wait for these

    import msgspec  # noqa: PLC0415

    from protocols.errors import InputError  # noqa: PLC0415
    from protocols.sizes import format_bytes  # noqa: PLC0415
    from supervisor.retention import prune_runs  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.table import one_line  # noqa: PLC0415

    settings = open_settings(state, config)
    runs = settings.retention.keep_runs if keep_runs is None else keep_runs
    days = settings.retention.keep_days if keep_days is None else keep_days
    if runs < 0 or not days >= 0:
        raise InputError("--keep-runs and --keep-days: neither can be less than 0")
    done = prune_runs(settings.state, keep_runs=runs, keep_days=days, dry_run=dry_run, now=time.time())
    if json:
        print(msgspec.json.encode(done).decode())
        return
    for each in done.removed:
        print(f"{'would remove' if dry_run else 'removed'} {each.run}: {format_bytes(each.bytes)}")
    for left in done.kept:
        print(one_line(f"kept {left.run}: {left.reason}"))
    count = len(done.removed)
    print(f"{count} run{'' if count == 1 else 's'}, {format_bytes(done.bytes)} {'to free' if dry_run else 'freed'}")
