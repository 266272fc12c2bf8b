"""The key ``secrets`` of a plan: variables whose values stand elsewhere."""

import re

import msgspec

from protocols.section import Section

__all__ = ["SecretSource", "read_secrets"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_WRITE = 'write { env = "VARIABLE" } or { file = "PATH" }'


class SecretSource(msgspec.Struct, frozen=True):
    """Where a secret is read. One of both is said."""

    env: str = ""
    """A variable of callboard's own environment."""
    file: str = ""
    """A file of ours that nobody else may read."""

    @property
    def label(self) -> str:
        """As messages name it."""
        return f"the variable {self.env}" if self.env else f"the file {self.file}"


def read_secrets(section: Section) -> dict[str, SecretSource]:
    """The key ``secrets``: by the name of the variable that a worker gets."""
    table = section.table("secrets", '{ NAME = { env = "VARIABLE" } }')
    found: dict[str, SecretSource] = {}
    if table is None:
        return found
    env = section.get("env")
    for name in table:
        if not _NAME.fullmatch(name):
            table.reject(name, 'no name for a secret; use letters, digits and "_", the first no digit')
        elif name.startswith("CALLBOARD_"):
            table.reject(name, "names that begin with CALLBOARD_ are callboard's own; choose another")
        elif isinstance(env, dict) and name in env:
            table.reject(name, "env sets it too; remove one of both")
        elif (source := _read_source(table, name)) is not None:
            found[name] = source
    return found


def _read_source(table: Section, name: str) -> SecretSource | None:
    match table.get(name):
        case {"env": _, **rest} if not rest:
            key = "env"
        case {"file": _, **rest} if not rest:
            key = "file"
        case str():
            table.reject(name, f"a plan holds no secrets; {_WRITE}, and remove it here")
            return None
        case _:
            table.reject(name, _WRITE)
            return None
    inner = table.table(name)
    text = None if inner is None else inner.text(key)
    if text is None:
        return None
    return SecretSource(env=text) if key == "env" else SecretSource(file=text)
