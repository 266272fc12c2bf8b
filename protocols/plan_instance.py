"""What a plan says of a task that is a callboard of its own, and which of its other keys go with that."""

from collections.abc import Mapping, Sequence

import msgspec

from protocols.ids import TaskId
from protocols.instances import Instance
from protocols.plan import Task
from protocols.plan_level import Level
from protocols.plan_session import SESSION_KEYS
from protocols.section import Section
from protocols.wording import quote

__all__ = ["check_givers", "check_instance", "instance_level", "read_instance"]

_WRITE = 'write { plan = "PATH" } or { from = "TASK" }'
_EXAMPLE = '{ plan = "sub.toml" }'
_NO_COMMAND = "what an instance runs is its plan; remove this key"
_NO_INPUT = "an instance reads no input; remove this key"
_NOT_HERE: dict[str, str] = {
    **dict.fromkeys(("command", "shell", *SESSION_KEYS), _NO_COMMAND),
    **dict.fromkeys(("stdin", "nudge", "window", "source", "logfile", "tmux"), _NO_INPUT),
}


def read_instance(section: Section) -> Instance | None:
    """The key ``instance``."""
    table = section.table("instance", _EXAMPLE)
    if table is None:
        return Instance(plan="?") if "instance" in section else None  # it is reported, and no command is missing
    table.check_keys(("plan", "from", "depth", "fan_out", "concurrency"), {})
    plan, giver = table.text("plan"), table.text("from")
    if ("plan" in table) == ("from" in table):
        section.reject("instance", f"{'both plan and from' if 'plan' in table else 'no plan'}; {_WRITE}")
    return Instance(
        plan=plan or "",
        giver=None if giver is None else TaskId(giver),
        depth=table.count("depth", 0),
        fan_out=table.count("fan_out", 0),
        concurrency=table.count("concurrency", 1),
    )


def check_instance(section: Section, level: Level) -> None:
    """``level`` with all that is said for it."""
    for key, why in _NOT_HERE.items():
        if key in section:
            section.reject(key, why)
    output = level.output
    if output is not None and output.kind in {"stdout-json", "last-message"}:
        section.reject("output", 'an instance gives { report = true } or { file = "PATH" }')
    if output is not None and level.restart is not None and level.restart.when == "always":
        section.reject("output", "a task that is restarted always is never done; remove this key")


def instance_level(level: Level) -> Level:
    """Without what the defaults or a role say for tasks of another kind. Its command is known once it is to run."""
    without = dict.fromkeys(("command", "shell", "stdin", "window", "logfile", "tmux", "nudge"))
    session = msgspec.structs.replace(level.session, prompts=None)
    return msgspec.structs.replace(level, source="instance", session=session, **without)


def check_givers(tasks: Sequence[Task], sections: Mapping[TaskId, Section]) -> None:
    """Whose plan a task is to run has to give one."""
    by_id = {task.id: task for task in tasks}
    for task in tasks:
        giver = None if task.instance is None else task.instance.giver
        table = sections[task.id].table("instance", _EXAMPLE)
        if giver is None or table is None:
            continue
        other = by_id.get(giver)
        if other is not None and other.for_each is not None:
            table.reject("from", f"{quote(giver)} is one task for each item, and gives many; name one that gives one")
        elif other is not None and (other.output is None or not other.output.plan):
            table.reject("from", f"task {quote(giver)} gives no plan; add plan = true to its output")
