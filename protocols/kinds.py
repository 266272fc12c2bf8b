"""The words that events and plans have in common: streams and sources of output, states of tasks, ends."""

from typing import Literal, TypeAlias

__all__ = ["EndReason", "Outcome", "Source", "Stream", "TaskStatus"]

Stream: TypeAlias = Literal["stdout", "stderr", "terminal", "log", "session"]
"""``log``: what a file holds that somebody writes and callboard follows. ``session``: what an agent says and does, as
readable text."""
Source: TypeAlias = Literal["pipe", "pty", "logfile", "tmux", "session", "instance"]
"""Where its bytes come from: two pipes; one terminal, which may be a pane of tmux; files that it writes itself, or one
that is somebody else's; the events of a session on an agent server; two pipes of another callboard."""
TaskStatus: TypeAlias = Literal[
    "pending", "running", "retrying", "restarting", "succeeded", "failed", "timed-out", "parked", "skipped", "stopped"
]
"""``parked``: a service that ended too often; nobody starts it again."""
Outcome: TypeAlias = Literal["succeeded", "failed", "interrupted"]
_OverLimit: TypeAlias = Literal["memory", "cpu-time", "spool-limit", "budget"]
_OfLogFile: TypeAlias = Literal["sentinel", "no-log"]  # it got the line that tells success; it cannot be followed
EndReason: TypeAlias = Literal[
    "exit", "timeout", "quiet", "stop", "orphaned", "lost", "not-started", "stalled", "output", _OverLimit, _OfLogFile
]
"""``quiet``: nothing was heard of it for its ``quiet_timeout``.
``output``: it ended well, but its output is not what the plan wants."""
