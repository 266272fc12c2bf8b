"""The roles of a plan: those that it tells of itself, over those that every plan knows."""

import re
from collections.abc import Mapping

import msgspec

from protocols.budget import Budget, read_budget
from protocols.plan_level import COMMON_KEYS, LATER_KEYS, Level, read_level
from protocols.role_detection import NOT_DETECTED, detect_role
from protocols.roles import ROLES
from protocols.section import Section
from protocols.wording import escaped, quote

__all__ = ["ONLY_TASKS", "Role", "check_name", "choose_role", "find_role", "read_role", "read_roles"]

ONLY_TASKS = {
    **dict.fromkeys(
        ("id", "role", "needs", "for_each", "instance"), "this key belongs to one task; move it to [[tasks]]"
    ),
    "on_failure": "this key is for the whole run; move it to [defaults]",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Role(msgspec.Struct, frozen=True):
    """``section``: where a plan tells of it; None where it does not."""

    section: Section | None
    level: Level
    concurrency: int | None = None
    budget: Budget | None = None
    """Of all of them together; in the defaults, of the run."""


def read_role(section: Section | None, *more: str) -> Role:
    """``more``: keys that are read elsewhere."""
    if section is None:
        return Role(None, Level())
    section.check_keys((*COMMON_KEYS, "budget", "concurrency", *more), {**LATER_KEYS, **ONLY_TASKS})
    budget = read_budget(section, warns=False)
    return Role(section, read_level(section), section.count("concurrency", 1), budget)


def read_roles(section: Section | None) -> dict[str, Role]:
    """All roles by name."""
    roles = {name: Role(None, level) for name, level in ROLES.items()}
    for name in section or ():
        if section is not None:
            check_name(section, name, name)
            role = read_role(section.table(name))
            known = roles.get(name)
            roles[name] = role if known is None else msgspec.structs.replace(role, level=role.level.over(known.level))
    return roles


def find_role(section: Section, name: str, roles: Mapping[str, Role]) -> Role | None:
    """None with a mistake, which is reported."""
    role = roles.get(name)
    if role is None:
        guess = section.guess(name, roles) or f"; add [roles.{escaped(name)}]"
        section.reject("role", f"no role {quote(name)}{guess}")
    return role


def choose_role(said: str | None, task: str, level: Level) -> tuple[str | None, str]:
    """The name of a task's role, and by what it was found where the plan does not say it. Only sessions get one so: a
    command would get a timeout that nobody wrote."""
    prompts, restart = level.session.prompts, level.restart
    if said is not None or not prompts or (restart is not None and restart.when != "never"):
        return said, ""
    found = detect_role(task, prompts[0])
    if found.role == NOT_DETECTED:
        return None, found.reason
    return found.role, f"score {found.score}, {found.reason}"


def check_name(section: Section, key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        rule = 'up to 64 letters, digits, ".", "_" and "-", the first a letter or a digit'
        section.reject(key, f"{quote(name)} is not a safe name; use {rule}")
