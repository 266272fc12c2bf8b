"""What the sessions of a run have used: of the report, and as the lines at the end of a run."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from protocols.durations import format_elapsed
from protocols.session_view import SessionView

__all__ = ["SessionUse", "add_up", "session_use", "tell_use"]

_MARKS = {"succeeded": "✓", "failed": "✗", "timed-out": "✗", "stopped": "■"}


class SessionUse(msgspec.Struct, frozen=True, kw_only=True):
    """Of one session with all of its children, or of several together."""

    session: str = ""
    """Its id; empty where there are several."""
    prompts: int = 0
    messages: int = 0
    """Of models."""
    tools: int = 0
    """Calls in all."""
    commands: int = 0
    """Of these, shell commands."""
    files: int = 0
    """Of these, files written or edited."""
    input_tokens: int = 0
    """Without those that were cached."""
    output_tokens: int = 0
    """With those of reasoning."""
    cached_tokens: int = 0
    """Read from the cache."""
    cost: float = 0.0
    """In the currency of the server's price list."""


class _Task(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def seconds(self) -> float | None: ...


def session_use(view: SessionView | None) -> SessionUse | None:
    """Of an attempt; None for one that is no session."""
    if view is None:
        return None
    usage = view.usage
    session = "" if view.started is None else view.started.session
    if usage is None:
        return SessionUse(session=session, prompts=view.prompts)
    return SessionUse(
        session=session,
        prompts=view.prompts,
        messages=usage.messages,
        tools=usage.tools,
        commands=usage.commands,
        files=usage.files,
        input_tokens=usage.input,
        output_tokens=usage.output + usage.reasoning,
        cached_tokens=usage.cache_read,
        cost=usage.cost,
    )


def add_up(uses: Iterable[SessionUse]) -> SessionUse:
    """All of them together."""
    found = [msgspec.structs.asdict(use) for use in uses]
    names = [name for name in SessionUse.__struct_fields__ if name != "session"]
    return SessionUse(**{name: sum(use[name] for use in found) for name in names})


def tell_use(tasks: Iterable[tuple[_Task, SessionUse]]) -> Iterator[str]:
    """A line for each task that is a session, with all of its attempts, and one for all where there are several."""
    listed = list(tasks)
    for task, use in listed:
        mark = _MARKS.get(task.status, "·")
        took = "" if task.seconds is None else f" ({format_elapsed(task.seconds)})"
        yield f"{mark} {task.id}{took} {_figures(use)}"
    if len(listed) > 1:
        yield f"{len(listed)} sessions: {_figures(add_up(use for _, use in listed))}"


def _figures(use: SessionUse) -> str:
    tokens = f"tokens {_short(use.input_tokens + use.cached_tokens)} in, {_short(use.output_tokens)} out"
    cost = f", cost {use.cost:.4f}" if use.cost else ""
    return f"tools {use.tools}, bash {use.commands}, files {use.files}, {tokens}{cost}"


def _short(count: int) -> str:
    """Three figures are enough for people."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if count >= size * 10:
            return f"{count / size:.0f}{unit}"
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)
