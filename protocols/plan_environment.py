"""What a plan says about variables of an environment."""

import re

from protocols.section import Section

__all__ = ["check_length", "read_env", "read_pass_env"]

_LONGEST_ARGUMENT = 128 * 1024 - 1  # MAX_ARG_STRLEN of the kernel, without the NUL at the end


def read_env(section: Section) -> dict[str, str]:
    """The key ``env``: variables that are set."""
    table = section.table("env")
    found: dict[str, str] = {}
    if table is None:
        return found
    for name in table:
        if not _is_variable(name):
            table.reject(name, 'no name of a variable; write one without "=" and NUL')
        elif name.startswith("CALLBOARD_"):
            table.reject(name, "names that begin with CALLBOARD_ are callboard's own; choose another")
        elif (value := table.text(name, empty=True)) is not None:
            check_length(table, name, f"{name}={value}")
            found[name] = value
    return found


def read_pass_env(section: Section) -> tuple[str, ...]:
    """The key ``pass_env``: names and patterns of variables that are passed on."""
    patterns = section.strings("pass_env") or ()
    for pattern in patterns:
        if not _is_variable(pattern):
            section.reject("pass_env", 'no name of a variable; write names such as "JAVA_HOME" or "JAVA_*"')
    return patterns


def check_length(section: Section, key: str, text: str) -> None:
    """Reject what the kernel takes neither as an argument nor as a variable."""
    if len(text.encode()) > _LONGEST_ARGUMENT:
        section.reject(key, "longer than the 128 KiB that Linux takes; pass it in a file or by stdin")


def _is_variable(name: str) -> bool:
    return re.fullmatch(r"[^=\0]+", name) is not None
