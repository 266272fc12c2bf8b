"""Whether the last line that a worker printed asks for an answer: yes or no, a password, a key."""

import re

from protocols.lines import strip_ansi

__all__ = ["find_question"]

_LONGEST = 200  # bytes of a line; nobody asks in a longer one
_ASKS = re.compile(
    rb"(?:[\[(]y(?:es)?\s?/\s?n(?:o)?(?:/[^\])]*)?[\])]"  # [y/N], (yes/no), (yes/no/[fingerprint])
    rb"|\(y\)es/\(n\)o.*"
    rb"|\b(?:proceed|continue|are you sure|ok to (?:proceed|continue))\b[^.!?]*\?"
    rb"|\bpress (?:any key|enter|return)\b[^.]*"
    rb"|\b(?:password|passphrase|username)\b[^?]*:)"
    rb"(?:\s*[\[(][yn][\])])?[\s:?>.]*\Z",  # the usual answer, and where to type it
    re.IGNORECASE,
)


def find_question(tail: bytes) -> str | None:
    """The last line of an output if it asks for an answer, without what surrounds it; None where it does not.

    ``tail``: the end of the output. Who was answered in a terminal has an answer in that line.
    """
    text = strip_ansi(tail).rstrip()
    line = text[max(text.rfind(b"\n"), text.rfind(b"\r")) + 1 :]
    if len(line) > _LONGEST or not _ASKS.search(line):
        return None
    return line.decode("utf-8", "replace").strip()
