"""What a test needs of the machine: skipped where it is missing, failed where it must not be missing."""

import os
import shutil
from pathlib import Path

import pytest

__all__ = ["needs", "program"]

# Where `npm ci` puts the agents that the tests run.
_AGENTS = Path(__file__).with_name("e2e") / "node_modules" / ".bin"


def needs(name: str, hint: str, present: bool | None = None) -> None:
    """Skip the calling test if the program ``name`` is not on PATH, or if ``present`` says that it is not there.

    With CALLBOARD_REQUIRE set to "all", or to a list of names with commas that has this one, the test fails instead.
    ``hint`` says what to do, such as "install tmux".
    """
    if shutil.which(name) is not None if present is None else present:
        return
    reason = f"needs {name}: {hint}"
    required = {each.strip() for each in os.environ.get("CALLBOARD_REQUIRE", "").split(",")}
    if required & {"all", name}:
        pytest.fail(f"{reason} (CALLBOARD_REQUIRE forbids to skip it)", pytrace=False)
    pytest.skip(reason)


def program(name: str, hint: str) -> str:
    """The path of the program ``name``: of those in ``tests/e2e``, else on PATH. Without it as `needs` says."""
    found = shutil.which(name, path=str(_AGENTS)) or shutil.which(name)
    needs(name, hint, present=found is not None)
    return str(found)
