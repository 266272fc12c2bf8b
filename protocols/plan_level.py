"""What one level of a plan, the defaults, a role or a task, says about how to run a command."""

import re

import msgspec

from protocols.deadlines import TERM_KEYS, Terms, read_terms
from protocols.kinds import Source
from protocols.liveness_actions import read_steps
from protocols.liveness_states import Action
from protocols.needs import read_labels, read_priority
from protocols.plan import Logfile, Stdin, Tmux, Window
from protocols.plan_environment import check_length, read_env, read_pass_env
from protocols.plan_session import SESSION_KEYS, SessionLevel, read_session
from protocols.plan_workspace import read_workspace
from protocols.restarts import RestartPolicy, read_restart
from protocols.retry import RetryPolicy, read_retry
from protocols.secrets import SecretSource, read_secrets
from protocols.section import Section
from protocols.task_output import Output, read_output
from protocols.wording import quote
from protocols.worker_limits import WorkerLimits, read_limits
from protocols.workspace import Workspace

__all__ = ["COMMON_KEYS", "LATER_KEYS", "Command", "Level", "read_level"]

COMMON_KEYS = (
    "command",
    "shell",
    "cwd",
    "workspace",
    "env",
    "secrets",
    "pass_env",
    "timeout",
    *TERM_KEYS,
    "retries",
    "backoff",
    "retry",
    "restart",
    "limits",
    "grace",
    "quiet_after",
    "stalled_after",
    "on_stalled",
    "stalled_pause",
    "nudge",
    "source",
    "window",
    "logfile",
    "tmux",
    *SESSION_KEYS,
    "stdin",
    "durable",
    "allow_failure",
    "output",
    "template",
    "progress_file",
    "priority",
    "labels",
)
LATER_KEYS = {
    **dict.fromkeys(
        ("session", "when"),
        "this key is not supported by this version; remove it",
    ),
}
_LONGEST_NUDGE = 1000
_LONGEST_STDIN = 1024 * 1024
_SOURCES: tuple[Source, ...] = ("pipe", "pty", "logfile", "tmux")


class Command(msgspec.Struct, frozen=True):
    """A command as it was written, and where. Whether it may be a string is known once ``shell`` is."""

    words: str | tuple[str, ...] | None
    """None where it was written wrongly, which has been reported."""
    section: Section

    def reject(self, message: str) -> None:
        self.section.reject("command", message)


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """None where the level says nothing. `env`, `pass_env`, `labels` and `limits` add to those of the level below."""

    command: Command | None = None
    shell: bool | None = None
    cwd: str | None = None
    workspace: Workspace | None = None
    env: dict[str, str] = {}
    secrets: dict[str, SecretSource] = {}
    pass_env: tuple[str, ...] = ()
    timeout: float | None = None
    terms: Terms = Terms()
    retries: int | None = None
    backoff: float | None = None
    retry: RetryPolicy = RetryPolicy()
    restart: RestartPolicy | None = None
    limits: WorkerLimits = WorkerLimits()
    grace: float | None = None
    quiet_after: float | None = None
    stalled_after: float | None = None
    on_stalled: tuple[Action, ...] | None = None
    stalled_pause: float | None = None
    nudge: str | None = None
    source: Source | None = None
    window: Window | None = None
    logfile: Logfile | None = None
    tmux: Tmux | None = None
    session: SessionLevel = SessionLevel()
    stdin: Stdin | None = None
    durable: bool | None = None
    allow_failure: bool | None = None
    output: Output | None = None
    template: bool | None = None
    progress_file: str | None = None
    priority: int | None = None
    labels: tuple[str, ...] = ()

    def over(self, base: "Level") -> "Level":
        """This level where it says something, else ``base``. The command of one takes the place of the other's prompt,
        and so the other way round."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        if self.session.prompts is not None and self.command is None:
            said["command"] = None
        said["session"] = self.session.over(base.session)
        if self.command is not None and self.session.prompts is None:
            said["session"] = msgspec.structs.replace(said["session"], prompts=None)
        said["retry"] = self.retry.over(base.retry, anew=self.retries == 0)
        said["terms"] = self.terms.over(base.terms)
        said["limits"] = self.limits.over(base.limits)
        said["env"] = {**base.env, **self.env}
        said["secrets"] = {**base.secrets, **self.secrets}
        said["pass_env"] = tuple(dict.fromkeys((*base.pass_env, *self.pass_env)))
        said["labels"] = tuple(dict.fromkeys((*base.labels, *self.labels)))
        return msgspec.structs.replace(base, **said)


def read_level(section: Section) -> Level:
    """Read the keys that all levels share."""
    retry, backoff = read_retry(section)
    return Level(
        command=_read_command(section),
        shell=section.flag("shell"),
        cwd=section.text("cwd"),
        workspace=read_workspace(section),
        env=read_env(section),
        secrets=read_secrets(section),
        pass_env=read_pass_env(section),
        timeout=section.duration("timeout", zero=False),
        terms=read_terms(section),
        retries=section.count("retries", 0),
        backoff=section.duration("backoff", zero=True) if backoff is None else backoff,
        retry=retry,
        restart=read_restart(section),
        limits=read_limits(section),
        grace=section.duration("grace", zero=True),
        quiet_after=section.duration("quiet_after", zero=False),
        stalled_after=section.duration("stalled_after", zero=False),
        on_stalled=read_steps(section, "on_stalled"),
        stalled_pause=section.duration("stalled_pause", zero=False),
        nudge=_read_nudge(section),
        source=_read_source(section),
        window=_read_window(section),
        logfile=_read_logfile(section),
        tmux=_read_tmux(section),
        session=read_session(section),
        stdin=_read_stdin(section),
        durable=section.flag("durable"),
        allow_failure=section.flag("allow_failure"),
        output=read_output(section),
        template=section.flag("template"),
        progress_file=section.text("progress_file"),
        priority=read_priority(section),
        labels=read_labels(section),
    )


def _read_nudge(section: Section) -> str | None:
    text = section.text("nudge", empty=True)
    if text is not None and len(text.encode()) > _LONGEST_NUDGE:
        section.reject("nudge", f"longer than {_LONGEST_NUDGE} bytes, which agents take for a paste; write less")
    return text


def _read_command(section: Section) -> Command | None:
    written = section.get("command")
    if written is None:
        return None
    words = section.text("command") if isinstance(written, str) else section.strings("command")
    if words is not None and _is_blank(words):
        section.reject("command", 'empty; write what to run, such as ["make", "test"]')
        words = None
    for word in (words,) if isinstance(words, str) else words or ():
        check_length(section, "command", word)
    return Command(words, section)


def _is_blank(words: str | tuple[str, ...]) -> bool:
    return not words or not (words if isinstance(words, str) else words[0]).strip()


def _read_source(section: Section) -> Source | None:
    if section.get("source") == "session":
        section.reject("source", "a task with agent and prompt has this by itself; remove this key")
        return None
    return section.choice("source", _SOURCES, "no source")


def _read_window(section: Section) -> Window | None:
    text = section.text("window")
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", text)
    if found is None:
        section.reject("window", f'{quote(text)} is not COLUMNSxROWS; write it like "120x40"')
        return None
    return Window(int(found[1]), int(found[2]))


def _read_logfile(section: Section) -> Logfile | None:
    table = section.table("logfile")
    if table is None:
        return None
    table.check_keys(("path", "appear_within", "until"), {})
    path, until = table.text("path"), table.text("until")
    if "path" not in table:
        table.reject("path", "missing; name the file to follow")
    if until is not None and ("\n" in until or "\r" in until):
        table.reject("until", "more than one line; write the line that ends the task, without its end")
    patience = table.duration("appear_within", zero=True)
    usual = Logfile("")
    return Logfile(path or "", usual.appear_within if patience is None else patience, until or "")


def _read_tmux(section: Section) -> Tmux | None:
    table = section.table("tmux")
    if table is None:
        return None
    table.check_keys(("socket", "adopt", "own", "appear_within"), {})
    adopt = table.text("adopt")
    if "adopt" not in table:
        table.reject("adopt", 'missing; name a session or a pattern such as "agent-*", or leave tmux out')
    if adopt is None:
        return None
    if any(character in adopt for character in ":."):
        table.reject("adopt", f'{quote(adopt)}: no session of tmux has ":" or "." in its name; write another one')
    within = table.duration("appear_within", zero=True)
    return Tmux(
        adopt=adopt,
        socket=table.text("socket") or "default",
        own=bool(table.flag("own")),
        appear_within=5.0 if within is None else within,
    )


def _read_stdin(section: Section) -> Stdin | None:
    match section.get("stdin"):
        case None:
            return None
        case "none":
            return Stdin("none")
        case "pipe":
            return Stdin("pipe")
        case {"text": str(text), **rest} if not rest:
            if len(text.encode()) > _LONGEST_STDIN:
                section.reject("stdin", 'longer than 1 MiB; put it in a file and write { file = "PATH" }')
            return Stdin("text", text)
        case {"file": _, **rest} if not rest and (table := section.table("stdin")):
            path = table.text("file")
            return Stdin("file", path) if path else None
    section.reject("stdin", 'write "none", "pipe", { text = "TEXT" } or { file = "PATH" }')
    return None
