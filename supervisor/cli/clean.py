"""``callboard clean``: remove the workspaces that old runs have left."""

from pathlib import Path

__all__ = ["clean"]


def clean(
    run: str | None = None,
    /,
    *,
    yes: bool = False,
    force: bool = False,
    json: bool = False,
    state: Path | None = None,
    config: Path | None = None,
) -> None:
    """Tell which workspaces runs have left and could be removed; remove them only with --yes.

    Never of a run that lives or can be resumed, never a branch with commits, never commits that are on no branch.

    Parameters
    ----------
    run
        The beginning of the run's id (default: all runs).
    yes
        Remove them.
    force
        Also worktrees with changes that are not committed.
    json
        Print one JSON object instead of text.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import msgspec  # noqa: PLC0415 - `--help` need not wait for these

    from supervisor.cleaning import clean_runs, describe  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.table import one_line  # noqa: PLC0415

    done = clean_runs(open_settings(state, config).state, run, dry_run=not yes, force=force)
    if json:
        print(msgspec.json.encode(done).decode())
        return
    for line in describe(done):
        print(one_line(line))
