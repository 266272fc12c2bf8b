"""The settings of callboard itself, from a file, the environment and flags.

Reading them costs the import of pydantic, 0.2 s and 16 MB. Where there is nothing to read but ``--state``, that is
saved.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from protocols.pressure import Limits

__all__ = ["Settings", "load_settings", "open_settings"]

PREFIX = "CALLBOARD_CFG_"
_FILE = "callboard.toml"
STATE = ".callboard"


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    flush_interval: float = 0.05
    """Seconds between two records of the same pouring output."""
    max_line: int = 2048
    """Characters of a line in events and memory; the spool has all of it."""


class StopSettings(msgspec.Struct, frozen=True, kw_only=True):
    grace: float = 10.0
    """Seconds between TERM and KILL where the plan says nothing."""
    linger: float = 2.0
    """Seconds that output and left-over processes get after the exit of a worker."""


class LivenessSettings(msgspec.Struct, frozen=True, kw_only=True):
    heartbeat: float = 5.0
    """Seconds between two looks at each worker."""


class UpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``callboard up``."""

    concurrency: int = 64
    """How many tasks run at once; each submitted run is one, however many it has itself."""


class PortSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where ``callboard up`` listens, besides its Unix socket."""

    host: str = "127.0.0.1"
    """An address or a name. One that others can reach takes a certificate."""
    port: int = 3848
    """Where somebody else has it: any that is free, told in ``port.json``."""
    hosts: tuple[str, ...] = ()
    """Names that it goes by, besides those of loopback; see `protocols.senders`."""
    origins: tuple[str, ...] = ()
    """Pages that may use it, besides its own."""
    certificate: Path | None = None
    """Absolute; of TLS, PEM with the whole chain."""
    key: Path | None = None
    """Absolute; that of the certificate, where it is not in the same file."""


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    keep_runs: int = 20
    """How many runs stay, the latest ones."""
    keep_days: int = 30
    """Days after which a run may go, even if it is one of them."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``callboard up``; another run logs into its folder."""

    file: Path | None = None
    """Absolute. None: standard error."""
    format: Literal["auto", "text", "json"] = "auto"
    """``auto``: text on a terminal, else one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is below it is left out."""
    max_size: int = 10_000_000
    """Bytes of the file; then it becomes ``FILE.1``, that one ``FILE.2``. 0: it grows without end."""
    keep: int = 3
    """How many of these older ones stay."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    state: Path
    """The absolute folder of all fleets."""
    stream: StreamSettings = StreamSettings()
    stop: StopSettings = StopSettings()
    liveness: LivenessSettings = LivenessSettings()
    admission: Limits = Limits()
    retention: RetentionSettings = RetentionSettings()
    up: UpSettings = UpSettings()
    port: PortSettings = PortSettings()
    log: LogSettings = LogSettings()


def load_settings(
    start: Path, *, config: Path | None = None, overrides: Mapping[str, object] | None = None
) -> Settings:
    """Settings from a file, under those of the environment, under those of flags.

    The file is ``config``, or ``callboard.toml`` in ``start`` where there is one. ``overrides`` has
    names such as ``stop.grace``; None is no value. Raises SettingsError with every mistake.
    """
    flags = {name: value for name, value in (overrides or {}).items() if value is not None}
    file = config or (Path(_FILE) if os.path.lexists(start / _FILE) else None)
    if file is None and not any(name.upper().startswith(PREFIX) for name in os.environ):
        state = flags.get("state", STATE)
        if flags.keys() <= {"state"} and isinstance(state, str) and state:
            return Settings(state=start / state)
    from supervisor.settings_sources import read_settings  # noqa: PLC0415 - see above

    return read_settings(start, file, flags)


def open_settings(state: Path | None, config: Path | None) -> Settings:
    """What a command of the command line works with: its flags over all the rest."""
    return load_settings(Path.cwd(), config=config, overrides={"state": None if state is None else str(state)})
