"""What a plan says of agent servers: the tables ``[agents.NAME]``."""

import re

import msgspec

from protocols.agents import Agent
from protocols.plan_environment import check_length, read_env, read_pass_env
from protocols.plan_roles import check_name
from protocols.secrets import read_secrets
from protocols.section import Section
from protocols.wording import quote

__all__ = ["read_agents"]

_KINDS = ("opencode",)
_MANAGED = ("command", "config", "env", "secrets", "pass_env", "sessions_per_server", "ready_within")
_KEYS = ("kind", "attach", "password_env", *_MANAGED)
_ADDRESS = re.compile(r"https?://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?/?")


def read_agents(section: Section | None) -> dict[str, Agent]:
    """The agents by name; those with mistakes too, so that nobody who names one is told that there is none."""
    found: dict[str, Agent] = {}
    for name in section or ():
        if section is None:
            break
        check_name(section, name, name)
        table = section.table(name)
        found[name] = Agent(name=name) if table is None else _read_agent(name, table)
    return found


def _read_agent(name: str, table: Section) -> Agent:
    table.check_keys(_KEYS, {})
    table.choice("kind", _KINDS, "no kind of agent")
    attach = _read_attach(table)
    _check_belonging(table)
    command, usual = _read_command(table), Agent(name=name)
    return Agent(
        name=name,
        attach=attach or "",
        password_env=table.text("password_env") or "",
        command=command or usual.command,
        config=_read_config(table),
        env=read_env(table),
        secrets=read_secrets(table),
        pass_env=read_pass_env(table),
        sessions_per_server=table.count("sessions_per_server", 1) or 0,
        ready_within=table.duration("ready_within", zero=False) or usual.ready_within,
    )


def _read_attach(table: Section) -> str | None:
    address = table.text("attach")
    if address is None:
        return None
    if "@" in address:
        table.reject("attach", "an address with a password would be seen by all; name its variable in password_env")
    elif not _ADDRESS.fullmatch(address):
        table.reject("attach", f'{quote(address)} is no address of a server; write it like "http://127.0.0.1:4096"')
    return address.rstrip("/")


def _check_belonging(table: Section) -> None:
    """A key that would change nothing is a mistake."""
    if "attach" not in table:
        if "password_env" in table:
            rule = "a server that callboard starts gets a password of its own; remove this key, or add attach"
            table.reject("password_env", rule)
        return
    for key in _MANAGED:
        if key in table:
            table.reject(key, "belongs to a server that callboard starts itself; remove this key, or attach")


def _read_command(table: Section) -> tuple[str, ...] | None:
    words = table.strings("command")
    if words is not None and (not words or not words[0].strip()):
        table.reject("command", 'empty; write the program, such as ["opencode"]')
    for word in words or ():
        check_length(table, "command", word)
    return words


def _read_config(table: Section) -> str:
    if table.table("config") is None:
        return Agent(name="").config
    return msgspec.json.encode(table.get("config")).decode()
