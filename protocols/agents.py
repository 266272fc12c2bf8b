"""What a plan says of agents: the servers on which sessions live, and what a task wants of its session."""

from typing import Literal, TypeAlias

import msgspec

from protocols.secrets import SecretSource

__all__ = ["Agent", "PermissionRule", "Prompting", "Reply"]

Reply: TypeAlias = Literal["allow", "deny", "ask"]


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``[agents.NAME]``: a server that is there, or one that callboard starts, watches and stops itself."""

    name: str
    kind: Literal["opencode"] = "opencode"
    attach: str = ""
    """The address of a server that somebody else runs, such as ``http://127.0.0.1:4096``; empty: a managed one."""
    password_env: str = ""
    """The variable of callboard's own environment that holds the password of a server that is there."""
    command: tuple[str, ...] = ("opencode",)
    """The program of a managed server, and what comes before ``serve``."""
    config: str = "{}"
    """The configuration of a managed server, as JSON in the form of ``opencode.json``."""
    env: dict[str, str] = {}
    secrets: dict[str, SecretSource] = {}
    """Variables whose values stand elsewhere."""
    pass_env: tuple[str, ...] = ()
    sessions_per_server: int = 0
    """Beyond so many living sessions another server is started; 0: one server has all."""
    ready_within: float = 30.0
    """Seconds that a managed server gets to answer."""


class PermissionRule(msgspec.Struct, frozen=True, kw_only=True):
    """The first rule that matches decides. Patterns are those of `fnmatch`; an empty one matches all."""

    reply: Reply
    tool: str = ""
    """Of the permission that is asked, such as ``bash``, ``edit``, ``webfetch``."""
    pattern: str = ""
    """Of the command, or of the path. Where several are asked for at once, each has its first rule, and the strictest
    of the replies counts."""


class Prompting(msgspec.Struct, frozen=True, kw_only=True):
    """What a task wants of its session."""

    agent: Agent
    prompts: tuple[str, ...]
    """The first, and those that follow when the one before is done."""
    model: str = ""
    """``provider/model``; empty: what the server is configured for."""
    mode: str = ""
    """What OpenCode calls an agent, such as ``build`` or ``plan``."""
    system: str = ""
    tools: dict[str, bool] = {}
    permissions: tuple[PermissionRule, ...] = ()
    otherwise: Reply = "deny"
    """What is replied where no rule matches."""
    answer_within: float = 300.0
    """Seconds that a question or permission waits for somebody."""
    unanswered: Literal["allow", "deny"] = "deny"
    """What is replied then; a question is rejected."""
