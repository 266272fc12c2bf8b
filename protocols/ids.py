"""The identifiers of everything that a supervisor names, as types that cannot be mixed up."""

from typing import NewType, TypeAlias

__all__ = ["AttemptId", "CommandId", "FleetId", "OutboxKey", "RunId", "TaskId", "WorkerId"]

FleetId = NewType("FleetId", str)
"""Names one fleet for ever: 32 hexadecimal digits. First half of the mark in a worker's environment."""

RunId = NewType("RunId", str)
"""What a user types for one execution of a plan: 8 characters of ``a-z2-7``; a prefix will do."""

TaskId = NewType("TaskId", str)
"""A node of a plan, as its author named it."""

WorkerId = NewType("WorkerId", str)
"""A supervised process tree. In a run each task has one worker of the same name, with attempts."""

AttemptId = NewType("AttemptId", str)
"""One attempt of a worker: 32 hexadecimal digits. Makes a spawn idempotent."""

CommandId = NewType("CommandId", str)
"""A command in a queue: 1 to 64 characters, chosen by who gives it. The same one again is the same command."""

OutboxKey: TypeAlias = tuple[str, int]
"""Whose outbox, and which number in it: names an event for ever."""
