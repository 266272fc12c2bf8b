"""Which role a task of a plan gets, and how much of it: the one that the plan names, else what its words tell."""

from typing import Literal, NamedTuple, TypeAlias

from protocols.plan_drafts import Draft
from protocols.plan_level import Level
from protocols.role_detection import NOT_DETECTED, NOTHING_SAID, Said, detect_role
from protocols.section import Section

__all__ = ["Choice", "DetectRoles", "choose_role", "read_detect_roles"]

DetectRoles: TypeAlias = Literal["off", "sessions", "full"]
"""``sessions``: a session gets all that its detected role says, another task the role's name alone. ``full``: all get
all of it."""
_DETECT: tuple[DetectRoles, ...] = ("off", "sessions", "full")


class Choice(NamedTuple):
    role: str | None
    reason: str
    """By what it was found, or none was; empty where the plan says it, nobody was to look, or there is nothing to tell
    of a command."""
    adds: bool
    """The task gets what the role says of timeout, retries, limits and the like, not its name alone."""


def read_detect_roles(section: Section | None) -> DetectRoles:
    """The key ``detect_roles`` of the defaults."""
    found = None if section is None else section.choice("detect_roles", _DETECT, "no way to look for roles")
    return found or "sessions"


def choose_role(draft: Draft, level: Level, how: DetectRoles) -> Choice:
    """``level`` is without any role. A service and an instance get no more than a name: they would get an end that
    nobody wrote."""
    if draft.role is not None or how == "off":
        return Choice(draft.role, "", adds=True)
    found = detect_role(_said(draft, level))
    session = level.session.prompts is not None
    if found.role == NOT_DETECTED:
        unremarkable = found == NOTHING_SAID and not session  # as most commands are
        return Choice(None, "" if unremarkable else found.reason, adds=False)
    endless = draft.instance is not None or (level.restart is not None and level.restart.when != "never")
    adds = not endless and (how == "full" or session)
    return Choice(found.role, f"score {found.score}, {found.reason}", adds)


def _said(draft: Draft, level: Level) -> Said:
    files = [] if level.progress_file is None else [level.progress_file]
    files += [] if level.output is None or not level.output.path else [level.output.path]
    files += [] if level.logfile is None or not level.logfile.path else [level.logfile.path]
    files += [] if level.stdin is None or level.stdin.kind != "file" else [level.stdin.text]
    files += [] if level.workspace is None else [each.path for each in level.workspace.files]
    files += [] if draft.instance is None else [draft.instance.plan]
    prompts = level.session.prompts or ("",)
    words = None if prompts[0] or level.command is None else level.command.words
    command = tuple(words.split()) if isinstance(words, str) else words or ()
    return Said(draft.id, draft.title, prompts[0], tuple(files), command)
