"""The errors that callboard raises on purpose.

FleetError
├── InputError          what a user wrote cannot be used (exit code 2)
│   ├── PlanError       … in a plan: file, path of the key, what, what to do
│   └── SettingsError   … in the settings
├── StateError          the state folder cannot be used (exit code 2)
├── UnreachableError    no supervisor answers (exit code 3)
├── KeeperError         the keeper refused or is gone
│   └── SpawnError      one command could not be started
├── TmuxError           tmux refused a command, or its server is gone
├── ServerError         an agent server refused a call, or does not answer
├── JournalError        the journal cannot be opened or written
├── WorkspaceError      a place to work cannot be made, used or removed
├── LedgerError         the ledger cannot be opened or written, or refuses what it was told
├── QueueError          the queue of commands cannot be opened or written, or refuses a command
├── WatchError          the kernel does not tell that a file changes (inotify's limits)
└── RestartLimitError   an actor failed too often
"""

from typing import Literal, TypeAlias

__all__ = [
    "FleetError",
    "InputError",
    "JournalError",
    "KeeperError",
    "LedgerError",
    "PlanError",
    "QueueError",
    "RestartLimitError",
    "ServerError",
    "ServerErrorKind",
    "SettingsError",
    "SpawnError",
    "StateError",
    "TmuxError",
    "UnreachableError",
    "WatchError",
    "WorkspaceError",
]


ServerErrorKind: TypeAlias = Literal[
    "unreachable", "refused-password", "not-found", "conflict", "bad-request", "late", "broken", "too-big"
]


class FleetError(Exception):
    """Base of all errors that callboard raises on purpose. Its text is for the user."""


class InputError(FleetError):
    """What a user wrote cannot be used. ``problems`` holds one line for each mistake."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PlanError(InputError):
    """A plan cannot be run. Each problem reads ``FILE: path.to.key: what; what to do``."""


class SettingsError(InputError):
    """A settings file, variable or flag is wrong."""


class StateError(FleetError):
    """The state folder cannot be used; nothing in it was changed."""


class UnreachableError(FleetError):
    """No supervisor answers for this fleet."""


class KeeperError(FleetError):
    """The keeper refused a request, or is gone."""


class SpawnError(KeeperError):
    """One command could not be started. ``code`` is the errno's name, such as ``ENOENT``."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class TmuxError(FleetError):
    """tmux does not do what it was asked.

    ``kind``: ``server`` there is none, or it is gone; ``target`` no such session or pane; ``late`` no answer in time;
    ``client`` our client is gone; else ``refused``.
    """

    def __init__(self, message: str, kind: str = "refused") -> None:
        super().__init__(message)
        self.kind = kind


class ServerError(FleetError):
    """An agent server does not do what it was asked.

    ``kind``: ``unreachable`` nobody listens there; ``refused-password``; ``not-found`` it has no such session, request
    or call; ``conflict``; ``bad-request``; ``late`` no whole answer in time: what was asked may have been done;
    ``too-big`` more than we take; else ``broken``. ``status`` is that of HTTP, 0 where there was none.
    """

    def __init__(self, message: str, kind: ServerErrorKind = "broken", status: int = 0) -> None:
        super().__init__(message)
        self.kind: ServerErrorKind = kind
        self.status = status


class JournalError(FleetError):
    """The journal cannot be opened or written. What is in it stays as it was."""


class LedgerError(FleetError):
    """The ledger cannot be opened or written, or what it was told contradicts what it knows. It stays as it was."""


class QueueError(FleetError):
    """The queue of commands cannot be opened or written, or does not take a command. It stays as it was."""


class WatchError(FleetError):
    """The kernel does not tell that a file changes. It can still be looked at."""


class WorkspaceError(FleetError):
    """A place for a task to work in cannot be made, used or removed; what was there stays as it was."""


class RestartLimitError(FleetError):
    """An actor failed more often than its limit allows."""
