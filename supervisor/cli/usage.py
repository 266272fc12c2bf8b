"""What is said of a command line that makes no sense."""

from collections.abc import Collection

from cyclopts.exceptions import (
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from protocols.wording import did_you_mean, escaped, quote

__all__ = ["explain_usage"]


def explain_usage(error: CycloptsError, commands: Collection[str]) -> str:
    """What is wrong, and what was meant, or where to read on."""
    problem = _problem(error, commands)
    place = " ".join(("callboard", *(error.command_chain or ())))
    return problem if problem.endswith("?") else f"{problem}; see: {place} --help"


def _problem(error: CycloptsError, commands: Collection[str]) -> str:
    match error:
        case UnknownCommandError():
            word = (error.unused_tokens or [""])[0]
            return f"no {'option' if word.startswith('-') else 'command'} {quote(word)}{did_you_mean(word, commands)}"
        case UnknownOptionError():
            word = error.token.keyword or error.token.value
            known = [name for argument in error.argument_collection for name in argument.names]
            return f"no option {quote(word)}{did_you_mean(word, known)}"
        case UnusedCliTokensError():
            return f"{quote((error.unused_tokens or [''])[0])} is one word too many"
        case MissingArgumentError() if error.argument is not None:
            name = error.argument.name
            return f"{name} needs a value" if name.startswith("-") else f"{name} is missing"
    text = escaped(str(error).strip().rstrip("."))
    return text[:1].lower() + text[1:]
