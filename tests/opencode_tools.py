"""How the tools of OpenCode (1.18) are called: their names, and their arguments, for the steps of a script."""

import json
from typing import Any, TypeAlias

from tests.model_script import Step, script

__all__ = ["tool_calls"]

_Call: TypeAlias = tuple[str, Any]


def tool_calls(step: Step) -> list[tuple[str, str]]:
    """The tools that a step calls, each with its arguments as text; none for a step that is no tool."""
    if "together" in step:
        return [call for each in step["together"] for call in tool_calls(each)]
    named = _on_files(step) or _other(step)
    if named is None:
        return []
    tool, arguments = named
    return [(tool, arguments if isinstance(arguments, str) else json.dumps(arguments))]


def _on_files(step: Step) -> _Call | None:
    match step:
        case {"write": path, "text": text}:
            return "write", {"filePath": path, "content": text}
        case {"edit": path, "old": old, "new": new}:
            return "edit", {"filePath": path, "oldString": old, "newString": new}
        case {"read": path}:
            return "read", {"filePath": path}
        case _:
            return None


def _other(step: Step) -> _Call | None:
    match step:
        case {"run": command, **rest}:
            return "bash", {"command": command, "description": "As the test says", **rest}
        case {"ask": question, "options": options}:
            labels = [{"label": label, "description": label} for label in options]
            return "question", {"questions": [{"question": question, "header": question[:30], "options": labels}]}
        case {"spawn": steps, **rest}:
            name = rest.get("name", "helper")
            prompt = script(*steps, text=f"{name}:")
            return "task", {"description": name, "prompt": prompt, "subagent_type": rest.get("agent", "general")}
        case {"todo": states}:
            todos = [{"content": each, "status": state, "priority": "medium"} for each, state in states.items()]
            return "todowrite", {"todos": todos}
        case {"call": tool, "arguments": arguments}:
            return tool, arguments
        case _:
            return None
