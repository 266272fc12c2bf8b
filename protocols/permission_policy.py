"""What is replied to the permission that a session or one of its children asks for."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from protocols.agents import PermissionRule, Prompting, Reply

__all__ = ["Ruling", "decide", "order_rules", "server_rules"]

_STRICTEST: tuple[Reply, ...] = ("deny", "ask", "allow")
_WILD = frozenset("*?[")


class Ruling(NamedTuple):
    reply: Reply
    why: str
    """For people and for the agent: the rule, as it is written in a plan."""


def decide(prompting: Prompting, tool: str, patterns: Sequence[str]) -> Ruling:
    """What the plan says of this permission.

    ``patterns`` are what it is asked for: commands, paths, addresses; each is decided by the first rule that matches
    it, and the strictest of these replies counts. So a denied command is denied in any company.
    """
    rulings = [_decide_one(prompting, tool, pattern) for pattern in patterns or ("",)]
    return min(rulings, key=lambda ruling: _STRICTEST.index(ruling.reply))


def order_rules(rules: Iterable[PermissionRule]) -> tuple[PermissionRule, ...]:
    """The rules as a plan's table means them, whatever their order there: what names a command or path counts more than
    what names only a tool, a whole name more than a pattern of names, and of equals the strictest."""
    return tuple(sorted(rules, key=lambda rule: (not rule.pattern, _is_wild(rule.tool), _STRICTEST.index(rule.reply))))


def server_rules(prompting: Prompting) -> list[Mapping[str, str]]:
    """The same rules as ``permission`` of a new session, where the last one that matches decides.

    Source: opencode 1.18, ``GET /doc``, ``PermissionRuleset``. What no rule of the plan matches is left to the server's
    own configuration; what that asks is replied with ``otherwise``.
    """
    return [
        {"permission": rule.tool or "*", "pattern": rule.pattern or "*", "action": rule.reply}
        for rule in reversed(prompting.permissions)
    ]


def _decide_one(prompting: Prompting, tool: str, pattern: str) -> Ruling:
    for rule in prompting.permissions:
        if fnmatchcase(tool, rule.tool or "*") and fnmatchcase(pattern, rule.pattern or "*"):
            return Ruling(rule.reply, _spell(rule))
    return Ruling(prompting.otherwise, f'otherwise = "{prompting.otherwise}"')


def _spell(rule: PermissionRule) -> str:
    name = rule.tool or "*"
    return f'{name}({rule.pattern}) = "{rule.reply}"' if rule.pattern else f'{name} = "{rule.reply}"'


def _is_wild(tool: str) -> bool:
    return not tool or not _WILD.isdisjoint(tool)
