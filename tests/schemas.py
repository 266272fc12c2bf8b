"""Writes the documents of the port into ``configs/schemas``: ``python -m tests.schemas``."""

import json
from pathlib import Path
from typing import Any

from protocols.openrpc import openrpc_document

__all__ = ["OPENRPC", "as_text"]

OPENRPC = Path(__file__).resolve().parent.parent / "configs" / "schemas" / "openrpc.json"


def as_text(document: dict[str, Any]) -> str:
    """As it is committed: a line for each field, so that changes are seen."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OPENRPC.parent.mkdir(exist_ok=True)
    OPENRPC.write_text(as_text(openrpc_document()), encoding="utf-8")
