"""Parts of plans whose tasks are sessions."""

from pathlib import Path

from tests.opencode import opencode_config, opencode_program
from tests.running import table
from tests.scripted_model import ScriptedModel

__all__ = ["attached", "managed", "session"]


def attached(url: str, *, name: str = "coder", variable: str = "SECRET", **keys: object) -> str:
    """A server that is there; ``variable`` has its password."""
    return table(f"[agents.{name}]", {"attach": url, "password_env": variable, **keys})


def managed(model: ScriptedModel, home: Path, *, name: str = "coder", **keys: object) -> str:
    """A server that callboard starts itself. Servers with the same home have the same sessions."""
    home.mkdir(exist_ok=True)
    env = {"HOME": str(home), "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    said = {"command": [opencode_program()], "env": env, "config": opencode_config(model.url), **keys}
    return table(f"[agents.{name}]", said)


def session(name: str, *prompts: str, agent: str = "coder", **keys: object) -> str:
    """A task."""
    return table("[[tasks]]", {"id": name, "agent": agent, "prompt": list(prompts), **keys})
