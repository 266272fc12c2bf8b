"""The roles of a plan: those that it tells of itself, over those that every plan knows."""

import re
from collections.abc import Mapping

import msgspec

from protocols.budget import Budget, read_budget
from protocols.plan_level import COMMON_KEYS, LATER_KEYS, Level, read_level
from protocols.roles import ROLES
from protocols.section import Section
from protocols.wording import escaped, quote

__all__ = ["ONLY_TASKS", "Role", "check_name", "find_role", "name_problem", "read_role", "read_roles"]

ONLY_TASKS = {
    **dict.fromkeys(
        ("id", "title", "role", "needs", "for_each", "instance"), "this key belongs to one task; move it to [[tasks]]"
    ),
    **dict.fromkeys(("on_failure", "detect_roles"), "this key is for the whole run; move it to [defaults]"),
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


def check_name(section: Section, key: str, name: str) -> None:
    if problem := name_problem(name):
        section.reject(key, problem)


def name_problem(name: str) -> str:
    """Why this cannot be a part of the name of a file; empty where it can."""
    if _NAME.fullmatch(name):
        return ""
    rule = 'up to 64 letters, digits, ".", "_" and "-", the first a letter or a digit'
    return f"{quote(name)} is not a safe name; use {rule}"
