"""What is found where a machine is examined."""

from typing import Literal, TypeAlias

import msgspec

__all__ = ["Finding", "Level"]

Level: TypeAlias = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``advice`` says what to do where it is not ok."""

    subject: str
    level: Level
    found: str
    advice: str = ""
