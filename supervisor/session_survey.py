"""What a plan says of its sessions, for who checks it: where each lives, and what it may do."""

from collections.abc import Iterable, Iterator

import msgspec

from protocols.agents import Agent, Prompting
from protocols.durations import format_duration
from protocols.ids import TaskId
from protocols.plan import Task
from protocols.wording import escaped

__all__ = ["SessionSurvey", "render_sessions", "survey_sessions"]


class SessionSurvey(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks that want the same."""

    tasks: tuple[TaskId, ...]
    agent: str
    server: str
    """In words."""
    wishes: tuple[str, ...]
    """Model, mode and tools, where the plan says some."""
    permissions: tuple[str, ...]
    """As they are decided, the first that matches."""
    unanswered: str
    """What becomes of a question that nobody answers, in words."""


def survey_sessions(tasks: Iterable[Task]) -> tuple[SessionSurvey, ...]:
    """In the order of the plan."""
    groups: dict[bytes, list[tuple[TaskId, Prompting]]] = {}
    for task in tasks:
        if task.prompting is not None:
            alike = msgspec.structs.replace(task.prompting, prompts=(), system="")
            groups.setdefault(msgspec.json.encode(alike), []).append((task.id, task.prompting))
    return tuple(_describe(group) for group in groups.values())


def render_sessions(found: Iterable[SessionSurvey]) -> Iterator[tuple[str, str]]:
    """Labels and texts."""
    for each in found:
        yield "sessions: ", ", ".join(each.tasks)
        yield "  on ", "; ".join((each.server, *each.wishes))
        yield "  permissions: ", f"{', '.join(each.permissions)}; {each.unanswered}"


def _describe(group: list[tuple[TaskId, Prompting]]) -> SessionSurvey:
    prompting = group[0][1]
    agent = prompting.agent
    return SessionSurvey(
        tasks=tuple(task for task, _ in group),
        agent=agent.name,
        server=f"{agent.name}: {_server(agent)}",
        wishes=tuple(_wishes(prompting)),
        permissions=tuple(_permissions(prompting)),
        unanswered=f'nobody answers within {format_duration(prompting.answer_within)}: "{prompting.unanswered}"',
    )


def _server(agent: Agent) -> str:
    if agent.attach:
        return f"the server at {escaped(agent.attach)}, which is there"
    most = agent.sessions_per_server
    number = f"another one beyond {most} sessions" if most else "one for all"
    return f"a server that is started for the run ({escaped(' '.join(agent.command))} serve), {number}"


def _wishes(prompting: Prompting) -> Iterator[str]:
    if prompting.model:
        yield f"model {escaped(prompting.model)}"
    if prompting.mode:
        yield f"mode {escaped(prompting.mode)}"
    for name, wanted in prompting.tools.items():
        yield f"{'with' if wanted else 'without'} the tool {escaped(name)}"


def _permissions(prompting: Prompting) -> Iterator[str]:
    for rule in prompting.permissions:
        name = escaped(rule.tool or "*")
        yield f'{name}({escaped(rule.pattern)}) "{rule.reply}"' if rule.pattern else f'{name} "{rule.reply}"'
    yield f'what else the server asks "{prompting.otherwise}"'
