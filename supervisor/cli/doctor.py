"""``callboard doctor``: whether this machine has what callboard needs."""

from pathlib import Path

__all__ = ["doctor"]


def doctor(*, json: bool = False, state: Path | None = None, config: Path | None = None) -> int:
    """Examine this machine for what callboard needs. The exit code is 1 where something fails.

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

    from supervisor.doctor import examine  # noqa: PLC0415
    from supervisor.settings import open_settings  # noqa: PLC0415
    from supervisor.table import one_line  # noqa: PLC0415

    findings = examine(open_settings(state, config).state)
    for finding in findings:
        if json:
            print(msgspec.json.encode(finding).decode())
        else:
            advice = f"; {finding.advice}" if finding.advice else ""
            print(f"{finding.level:<4}  {finding.subject}: {one_line(finding.found + advice)}")
    return int(any(finding.level == "fail" for finding in findings))
