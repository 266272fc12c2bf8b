"""The file ``AGENT.md`` that tells an agent about its task and where it works."""

from protocols.plan import Task
from protocols.workspace import SpaceRecord

__all__ = ["write_agent_md"]


def write_agent_md(task: Task, record: SpaceRecord) -> str:
    parts = [f"# {task.id}" + (f": {task.title}" if task.title else ""), _place(record)]
    if task.role is not None:
        parts.append(f"Your role: {task.role}.")
    if task.prompting is not None:
        parts.append("## What to do\n\n" + "\n\n".join(task.prompting.prompts))
    elif task.command:
        parts.append(f"## What runs here\n\n    {' '.join(task.command)}")
    if (given := _given(task)) != "":
        parts.append(f"## What to leave behind\n\n{given}")
    if task.needs:
        parts.append(f"Done before: {', '.join(task.needs)}.")
    return "\n\n".join(parts) + "\n"


def _place(record: SpaceRecord) -> str:
    if record.kind == "folder":
        return "You work in this folder, which was made for this task. Another attempt finds it as you leave it."
    return (
        f"You work in a git worktree on the branch `{record.branch}`, which begins at {record.base[:12]}. "
        "Commit what is to be kept. Another attempt finds it as you leave it."
    )


def _given(task: Task) -> str:
    output = task.output
    if output is None:
        return ""
    what = "JSON" if output.form == "json" else "text"
    where = {"file": f"the file `{output.path}`", "stdout-json": "standard output"}.get(
        output.kind, "your last message"
    )
    schema = f", as the JSON Schema `{output.schema}` says" if output.schema else ""
    return f"{what} in {where}{schema}."
