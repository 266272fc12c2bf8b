"""TOML with mistakes told by line and column."""

import json
import re
import tomllib
from collections.abc import Mapping

from protocols.errors import InputError
from protocols.wording import escaped

__all__ = ["parse_toml", "write_toml"]


def parse_toml(text: str, file: str, error: type[InputError]) -> dict[str, object]:
    """The tables in ``text``. Raises ``error`` with one line that begins with ``file``."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        problem = _explain(str(exc), text)
    except RecursionError:
        problem = "nested too deeply; make it flatter"
    except ValueError:  # Python's own limit of digits
        problem = "not valid TOML: a number has too many digits; shorten it"
    raise error(f"{escaped(file)}: {problem}")


def _explain(message: str, text: str) -> str:
    match = re.fullmatch(r"(.*) \(at (?:(line \d+, column \d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return f"not valid TOML: {escaped(message)}; correct it"
    end = f"line {text.count(chr(10)) + 1}, column {len(text) - text.rfind(chr(10))}, the end"
    return f"{match[2] or end}: not valid TOML: {escaped(match[1])}; correct it"


def write_toml(value: object) -> str:
    """A document that says what this table says: strings, numbers, booleans, lists and tables of these. Raise
    ``ValueError`` for anything else, such as what JSON calls null."""
    if not isinstance(value, Mapping):
        raise ValueError("expected a table")
    return "".join(f"{_write(str(key))} = {_write(each, str(key))}\n" for key, each in value.items())


def _write(value: object, where: str = "") -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(_write(each, f'{where}[{number}]') for number, each in enumerate(value))}]"
        case Mapping():
            items = (f"{_write(str(key))} = {_write(each, f'{where}.{key}')}" for key, each in value.items())
            return f"{{{', '.join(items)}}}"
        case _:
            kind = "null" if value is None else type(value).__name__
            raise ValueError(f"{where}: {kind} is no value of a plan; leave the key out")
