"""What all commands that work on a state folder have in common."""

from pathlib import Path

from supervisor.settings import Settings, load_settings

__all__ = ["read_settings", "terminal_width"]


def read_settings(state: Path | None, config: Path | None) -> Settings:
    """The settings with the flags ``--state`` and ``--config`` applied. Raise `SettingsError`."""
    overrides = {} if state is None else {"state": str(state)}
    return load_settings(Path.cwd(), config=config, overrides=overrides)


def terminal_width() -> int | None:
    """Columns that standard output has; None where it is no terminal, and nothing need be cut."""
    import shutil  # noqa: PLC0415 - `--help` need not wait for these
    import sys  # noqa: PLC0415

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
