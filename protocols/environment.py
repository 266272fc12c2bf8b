"""Which variables of our environment a worker gets: a short list, what the plan asks for, what it sets."""

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import lru_cache

from protocols.plan import Task
from protocols.secrets import SecretSource

__all__ = ["MARK", "chained_mark", "withheld_environment", "worker_environment"]

MARK = "CALLBOARD_MARK"
"""Tells to which fleet and attempt a process belongs."""

_USUAL = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TERM", "TZ", "TMPDIR", "XDG_*"),
    *("SSH_AUTH_SOCK", "*_PROXY", "*_proxy", "SSL_CERT_*", "VIRTUAL_ENV"),
)
_TERMINALS = {"pty": "xterm-256color", "tmux": "screen-256color"}
_OURS = "CALLBOARD_"
"""Settings, mark and tokens of this callboard are nothing for the callboard that a worker may be."""


def worker_environment(
    task: Task, base: Mapping[str, str], secrets: Mapping[SecretSource, str] | None = None
) -> dict[str, str]:
    """What a worker of this task gets of ``base``, and what the plan sets.

    The mark and the socket of the fleet are added by whoever starts the worker.
    """
    passes = _pattern(task.pass_env).fullmatch
    passed = {name: value for name, value in base.items() if passes(name) and not name.startswith(_OURS)}
    terminal = _TERMINALS.get(task.source)
    if terminal is not None and not ("TERM" in task.pass_env and "TERM" in passed):
        passed["TERM"] = terminal  # it describes the worker's terminal, not that of who started us
    return passed | task.env | {name: (secrets or {}).get(source, "") for name, source in task.secrets.items()}


def chained_mark(outer: str | None, mark: str) -> str:
    """The mark of a process that somebody starts who has the mark ``outer``: that one stays in front."""
    return f"{outer}:{mark}" if outer else mark


def withheld_environment(task: Task, base: Mapping[str, str]) -> tuple[str, ...]:
    """The names in ``base`` that a worker of this task does not get, sorted."""
    return tuple(sorted(base.keys() - worker_environment(task, base).keys()))


@lru_cache(maxsize=256)
def _pattern(pass_env: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(name) for name in (*_USUAL, *pass_env)))
