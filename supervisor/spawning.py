"""From a command line to the task that it asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from protocols.errors import InputError
from protocols.wording import quote

__all__ = ["task_table"]


def task_table(
    command: Sequence[str], env: Sequence[str], said: Mapping[str, object], *, shell: bool
) -> dict[str, Any]:
    """As in ``[[tasks]]``. ``env``: each ``NAME=VALUE``. ``said``: other keys; None is not said. Raise InputError."""
    if not command:
        raise InputError("COMMAND is missing; write it behind --, such as: callboard spawn -- pytest -q")
    if shell and len(command) != 1:
        raise InputError(f"--shell: the command is to be one text, here are {len(command)}; put it in quotes")
    values = {}
    for each in env:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise InputError(f"--env: {quote(each)} is not NAME=VALUE")
        values[name] = value
    table: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    table["command"] = command[0] if shell else list(command)
    if shell:
        table["shell"] = True
    if values:
        table["env"] = values
    return table
