"""TOML with mistakes told by line and column."""

import re
import tomllib

from protocols.errors import InputError
from protocols.wording import escaped

__all__ = ["parse_toml"]


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
