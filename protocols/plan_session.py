"""What one level of a plan says about sessions on agent servers, and what a task wants of its session in the end."""

import re
from collections.abc import Mapping

import msgspec

from protocols.agents import Agent, PermissionRule, Prompting, Reply
from protocols.permission_policy import order_rules
from protocols.section import Section
from protocols.wording import escaped, quote

__all__ = ["SESSION_KEYS", "SessionLevel", "read_session", "resolve_prompting"]

SESSION_KEYS = ("agent", "prompt", "preamble", "model", "mode", "system", "tools", "permissions")
_REPLIES: tuple[Reply, ...] = ("allow", "deny", "ask")
_RULE = re.compile(r"(?P<tool>[^()]+?)(?:\((?P<pattern>.+)\))?", re.DOTALL)
_MODEL = re.compile(r"[^/\s]+/\S+")
_LONGEST_PROMPT = 1024 * 1024
_PERMISSIONS = 'write { bash = "ask", "bash(git push*)" = "deny", otherwise = "deny" }'


class SessionLevel(msgspec.Struct, frozen=True, kw_only=True):
    """None where the level says nothing. `tools` and `rules` add to those of the level below."""

    agent: str | None = None
    prompts: tuple[str, ...] | None = None
    preamble: str | None = None
    model: str | None = None
    mode: str | None = None
    system: str | None = None
    tools: dict[str, bool] = {}
    rules: dict[str, PermissionRule] = {}
    """By the key under which they are written."""
    otherwise: Reply | None = None
    answer_within: float | None = None
    unanswered: Reply | None = None

    def over(self, base: "SessionLevel") -> "SessionLevel":
        """This level where it says something, else ``base``."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        said["tools"] = {**base.tools, **self.tools}
        said["rules"] = {**base.rules, **self.rules}
        return msgspec.structs.replace(base, **said)


def read_session(section: Section) -> SessionLevel:
    """Read the keys `SESSION_KEYS`."""
    model = section.text("model")
    if model is not None and not _MODEL.fullmatch(model):
        section.reject("model", f'{quote(model)} is not PROVIDER/MODEL; write it like "anthropic/claude-sonnet-4-5"')
    if "prompt" in section and "command" in section:
        section.reject("prompt", "a task has a prompt or a command, not both; remove one of them")
    level = SessionLevel(
        agent=section.text("agent"),
        prompts=_read_prompts(section),
        preamble=section.text("preamble", empty=True),
        model=model,
        mode=section.text("mode"),
        system=section.text("system"),
        tools=_read_tools(section),
    )
    table = section.table("permissions")
    return level if table is None else _read_permissions(table, level)


def resolve_prompting(
    section: Section, level: SessionLevel, agents: Mapping[str, Agent], prompts: tuple[str, ...]
) -> Prompting | None:
    """What a task with these prompts wants of its session. None with a mistake, which is reported."""
    if level.agent is None:
        names = ", ".join(escaped(name) for name in agents) or "none yet: add [agents.NAME]"
        section.reject("agent", f"missing; a prompt needs an agent, of which there are {names}")
        return None
    agent = agents.get(level.agent)
    if agent is None:
        guess = section.guess(level.agent, agents) or f"; add [agents.{escaped(level.agent)}]"
        section.reject("agent", f"no agent {quote(level.agent)}{guess}")
        return None
    if level.preamble:
        prompts = (f"{level.preamble}\n\n{prompts[0]}", *prompts[1:])
    usual = Prompting(agent=agent, prompts=prompts)
    return Prompting(
        agent=agent,
        prompts=prompts,
        model=level.model or "",
        mode=level.mode or "",
        system=level.system or "",
        tools=level.tools,
        permissions=order_rules(level.rules.values()),
        otherwise=level.otherwise or usual.otherwise,
        answer_within=usual.answer_within if level.answer_within is None else level.answer_within,
        unanswered="allow" if level.unanswered == "allow" else "deny",
    )


def _read_prompts(section: Section) -> tuple[str, ...] | None:
    """One text, or several that follow each other."""
    written = section.get("prompt")
    if written is None:
        return None
    prompts: tuple[str, ...] | None
    if isinstance(written, str):
        one = section.text("prompt")
        prompts = None if one is None else (one,)
    else:
        prompts = section.strings("prompt")
    if prompts is None:
        return ("?",)  # it is reported, and this is a session all the same
    if not all(prompt.strip() for prompt in prompts or ("",)):
        section.reject("prompt", "empty; write what the session is to do")
    if any(len(prompt.encode()) > _LONGEST_PROMPT for prompt in prompts):
        section.reject("prompt", "longer than 1 MiB; put it in a file and name that in the prompt")
    return prompts


def _read_tools(section: Section) -> dict[str, bool]:
    table = section.table("tools")
    if table is None:
        return {}
    return {name: value for name in table if (value := table.flag(name)) is not None}


def _read_permissions(table: Section, level: SessionLevel) -> SessionLevel:
    rules: dict[str, PermissionRule] = {}
    for key in table:
        if key in {"otherwise", "answer_within", "unanswered"}:
            continue
        found, reply = _RULE.fullmatch(key), _read_reply(table, key)
        if found is None:
            table.reject(key, f"neither a tool nor tool(pattern); {_PERMISSIONS}")
        elif reply is not None:
            rules[key] = PermissionRule(reply=reply, tool=found["tool"], pattern=found["pattern"] or "")
    unanswered = _read_reply(table, "unanswered")
    if unanswered == "ask":
        table.reject("unanswered", 'who could answer has not; write "allow" or "deny"')
    return msgspec.structs.replace(
        level,
        rules=rules,
        otherwise=_read_reply(table, "otherwise"),
        answer_within=table.duration("answer_within", zero=True),
        unanswered=unanswered,
    )


def _read_reply(table: Section, key: str) -> Reply | None:
    return table.choice(key, _REPLIES, "no reply")
