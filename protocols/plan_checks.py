"""Whether the keys of a task go together, once its role and the defaults of the plan are known."""

import msgspec

from protocols.durations import format_duration
from protocols.layout import streams_of
from protocols.plan_level import Level
from protocols.plan_session import SESSION_KEYS
from protocols.section import Section
from protocols.worker_limits import WorkerLimits

__all__ = ["check_task", "resolve_command", "without_foreign_keys"]

_OF_SERVER = "a session lives in its server, which has this; write it in [agents.NAME], or remove this key"
_HEARING = 'give it source = "pty" or stdin = "pipe", or remove this key'
_OF_PROCESS = "a session is no process and has no input but its prompts; remove this key"
_NO_SESSION: dict[str, str] = {
    **dict.fromkeys(("env", "secrets", "pass_env"), _OF_SERVER),
    "limits": "a session has no processes of its own; remove this key",
    "source": "a task with agent and prompt has its source by itself; remove this key",
    **dict.fromkeys(("shell", "stdin", "window", "logfile", "tmux", "nudge"), _OF_PROCESS),
}


def check_task(section: Section, said: Level, level: Level) -> None:
    """``said`` by the task itself, and ``level`` with all that is said for it."""
    _check_output(section, level)
    _check_terms(section, said, level)
    if level.session.prompts is not None:
        for key, why in _NO_SESSION.items():
            if key in section:
                section.reject(key, why)
        return
    _check_no_session(section)
    _check_terminal(section, said, level)
    _check_logfile(section, said, level)
    _check_tmux(section, said, level)


def without_foreign_keys(level: Level) -> Level:
    """Without what the defaults or a role say for tasks of another kind."""
    if level.session.prompts is None:
        return level if level.source == "logfile" else msgspec.structs.replace(level, logfile=None)
    return msgspec.structs.replace(
        level,
        source="session",
        **dict.fromkeys(("command", "shell", "stdin", "window", "logfile", "tmux", "nudge")),
        env={},
        secrets={},
        pass_env=(),
        limits=WorkerLimits(),
    )


def _check_output(section: Section, level: Level) -> None:
    """Each place of an output needs something that writes there."""
    if level.output is None:
        return
    session = level.session.prompts is not None
    if level.restart is not None and level.restart.when == "always":
        section.reject("output", "a task that is restarted always is never done; remove this key")
    elif level.output.kind == "report":
        section.reject("output", "only an instance gives a report; name a file, or what else this task gives")
    elif level.output.kind == "last-message" and not session:
        section.reject("output", 'only a session has a last message; write { file = "PATH" } or { stdout_json = true }')
    elif level.output.kind == "stdout-json" and (
        session or level.command is None or "stdout" not in streams_of(level.source or "pipe")
    ):
        section.reject("output", 'this task has no stdout of its own; write { file = "PATH" }')


def _check_terms(section: Section, said: Level, level: Level) -> None:
    """What a task itself says about its time needs a timeout, and a way to reach it."""
    before, timeout = level.terms.warn_before, level.timeout
    if said.terms.warn_before is not None or (before is not None and said.timeout is not None):
        if timeout is None:
            section.reject("warn_before", "there is no timeout to warn of; add timeout, or remove this key")
        elif before is not None and before >= timeout:
            times = f"warn_before is {format_duration(before)} and timeout is {format_duration(timeout)} here"
            section.reject("warn_before", f"{times}; make warn_before the shorter one")
        elif not _can_hear(level):
            section.reject("warn_before", f"nobody could tell it; {_HEARING}")
    if said.terms.warning is not None and before is None:
        section.reject("warning", "nothing says when; add warn_before, or remove this key")
    if said.terms.counts_waiting is False and (level.tmux is not None or _only_follows(level)):
        section.reject("counts_waiting", "what is only followed has no time of its own; remove this key")


def _can_hear(level: Level) -> bool:
    terminal = "terminal" in streams_of(level.source or "pipe")
    return level.session.prompts is not None or terminal or (level.stdin is not None and level.stdin.kind == "pipe")


def _only_follows(level: Level) -> bool:
    return level.source == "logfile" and level.command is None


def _check_no_session(section: Section) -> None:
    for key in SESSION_KEYS:
        if key in section:
            section.reject(key, "without a prompt there is no session; add prompt, or remove this key")


def _check_terminal(section: Section, said: Level, level: Level) -> None:
    if level.source not in {"pty", "tmux"}:
        if said.window is not None:
            section.reject("window", 'only a terminal has a size; add source = "pty", or remove this key')
    elif level.stdin is not None and level.stdin.kind == "pipe":
        rule = 'reads from its terminal; write "none", { text = "TEXT" } or { file = "PATH" }'
        rule = f'a task with source = "{level.source}" {rule}'
        section.reject("stdin", f'"pipe": {rule}')


def _check_logfile(section: Section, said: Level, level: Level) -> None:
    if level.source == "logfile":
        if level.command is None and said.stdin is not None:
            section.reject("stdin", "without a command nobody reads it; add a command, or remove this key")
        if level.logfile is None and said.limits.spool_limit:
            rule = "who writes its spool itself cannot be held up; remove this limit, or choose another source"
            section.reject("limits", f"spool_limit: {rule}")
    elif said.logfile is not None:
        section.reject("logfile", 'only source = "logfile" follows a file; add that, or remove this key')


def _check_tmux(section: Section, said: Level, level: Level) -> None:
    """A task that adopts starts nothing, so it has nothing to say about that."""
    if level.source != "tmux":
        if said.tmux is not None:
            section.reject("tmux", 'this key needs source = "tmux"; add that, or remove this key')
        return
    if level.limits.spool_limit is not None:
        section.reject("limits", "what a task prints in tmux has no spool_limit; leave it out, or choose pty")
    if level.tmux is None:
        return
    for key, value in (("command", said.command), ("stdin", said.stdin), ("window", said.window)):
        if value is not None:
            section.reject(key, "a session that is adopted has its own; remove this key, or tmux.adopt")


def resolve_command(section: Section, level: Level) -> tuple[str, ...]:
    """The arguments. Empty without a command, or with a mistake, which is reported."""
    command = level.command
    if command is None and level.source == "logfile" and level.logfile is not None:
        return ()
    if level.source == "tmux" and level.tmux is not None:
        return ("tmux", "attach-session", "-t", level.tmux.adopt)  # what a person would type
    if command is None and any(key in section for key in SESSION_KEYS):
        return ()  # it was meant to be a session, as has been said
    if command is None:
        section.reject("command", 'missing; write what to run, such as ["make", "test"]')
    elif isinstance(command.words, str):
        if level.shell:
            return ("/bin/sh", "-c", command.words)
        command.reject('a string needs shell = true; add that, or write a list such as ["make", "test"]')
    elif command.words is not None:
        if not level.shell:
            return command.words
        command.reject("a list with shell = true; write one string, or shell = false")
    return ()
