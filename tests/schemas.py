"""Writes the documents of the port into ``configs/schemas``: ``python -m tests.schemas``."""

import json
from pathlib import Path
from typing import Any

from protocols.openapi import openapi_document
from protocols.openrpc import openrpc_document

__all__ = ["OPENAPI", "OPENRPC", "as_text"]

_FOLDER = Path(__file__).resolve().parent.parent / "configs" / "schemas"
OPENAPI, OPENRPC = _FOLDER / "openapi.json", _FOLDER / "openrpc.json"


def as_text(document: dict[str, Any]) -> str:
    """As it is committed: a line for each field, so that changes are seen."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    _FOLDER.mkdir(exist_ok=True)
    OPENAPI.write_text(as_text(openapi_document()), encoding="utf-8")
    OPENRPC.write_text(as_text(openrpc_document()), encoding="utf-8")
