"""``callboard report``: what came out of a run."""

from pathlib import Path

__all__ = ["report"]


def report(
    run: str | None = None, /, *, json: bool = False, state: Path | None = None, config: Path | None = None
) -> None:
    """Show what came out of a run; of one that still runs, what came out of it so far.

    Parameters
    ----------
    run
        The name of a run that was submitted, or the id of a run or the beginning of it (default: that of the
        supervisor, callboard up, where one lives, else the latest).
    json
        Print the whole report as JSON.
    state
        The folder of all runs (default .callboard).
    config
        The settings file (default callboard.toml, where there is one).
    """
    import msgspec  # noqa: PLC0415 - `--help` need not wait for these

    from protocols.wording import escaped  # noqa: PLC0415
    from supervisor.report_text import summary_table  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.summary import find_report  # noqa: PLC0415
    from supervisor.table import one_line, terminal_width  # noqa: PLC0415
    from supervisor.up_state import find_named  # noqa: PLC0415

    fleet = find_named(open_settings(state, config).state, run)
    found = find_report(fleet)
    if json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    print(f"run {found.run} of {one_line(found.plan)}\n\n{summary_table(found, terminal_width())}")
    if fleet.folder.report_markdown.exists():
        print(f"report: {escaped(str(fleet.folder.report_markdown))}")
