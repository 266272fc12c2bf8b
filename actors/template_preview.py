"""What comes of a template before anything has run: what is known is put in, what is not stands there as ``‹…›``."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from actors.template import TemplateError, open_environment, render_text
from protocols.templates import ITEM, NAMES

__all__ = ["Preview", "preview"]

_BEGINS = {"variable_begin": "variable_end", "block_begin": "block_end"}
_OPEN, _CLOSE = "‹", "›"


@dataclass(frozen=True, slots=True)
class Preview:
    text: str
    waits: bool = False
    """Something in it is known only when its task starts."""
    problem: str = ""
    """Why it could not be rendered; the text is as it was written then."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a template as it was written: plain text, an expression in its braces, or a statement in its."""

    kind: str
    text: str
    inner: str
    names: frozenset[str]


def preview(text: str, known: Mapping[str, object]) -> Preview:
    """The text of a template with what ``known`` has of `NAMES`.

    An expression that names anything else of them becomes ``‹expression›``. Where a statement does (a loop, a
    condition), nobody knows what becomes of the text around it: all of it stays as it was written.
    """
    unknown = frozenset((*NAMES, ITEM)).difference(known)
    pieces = list(_pieces(text))
    if any(piece.kind == "block_begin" and piece.names & unknown for piece in pieces):
        return Preview(text, waits=True)
    waiting = [piece.kind == "variable_begin" and bool(piece.names & unknown) for piece in pieces]
    rest = "".join(_stand_in(piece) if waits else piece.text for piece, waits in zip(pieces, waiting, strict=True))
    try:
        return Preview(render_text(rest, known), waits=any(waiting))
    except TemplateError as error:
        return Preview(text, problem=str(error))


def _pieces(text: str) -> Iterator[_Piece]:
    tokens = iter(open_environment().lex(text))
    for _, kind, value in tokens:
        end = _BEGINS.get(kind)
        if end is None:
            yield _Piece(kind, value, "", frozenset())
            continue
        inside = list(_until(tokens, end))
        inner = "".join(token for _, token in inside[:-1])
        names = frozenset(token for name, token in inside if name == "name")
        yield _Piece(kind, value + inner + inside[-1][1], inner.strip(), names)


def _until(tokens: Iterable[tuple[int, str, str]], end: str) -> Iterator[tuple[str, str]]:
    for _, kind, value in tokens:
        yield kind, value
        if kind == end:
            return


def _stand_in(piece: _Piece) -> str:
    """An expression whose value is the placeholder."""
    begin, _, end = piece.text.partition(piece.inner)
    return f"{begin}{json.dumps(_OPEN + piece.inner + _CLOSE, ensure_ascii=False)}{end}"
