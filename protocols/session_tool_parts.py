"""The tool calls of a session and of its children: what of them is new, as text and as events, and their number."""

from collections import Counter
from dataclasses import dataclass, field

from protocols.opencode_dialect import Part
from protocols.session_changes import Change, Tell, written
from protocols.session_events import Doing, SessionTool, ToolState
from protocols.session_place import Place
from protocols.session_text import SessionText
from protocols.session_tools import ToolCall, new_output, tool_call

__all__ = ["ToolParts"]

_LONGEST = 2000  # characters of a command in a record
_RANK: dict[str, int] = {"pending": 0, "running": 1, "completed": 2, "error": 2}
_STATES: dict[str, ToolState] = {"running": "running", "completed": "completed", "error": "error"}


@dataclass(slots=True)
class _Running:
    session: str
    call: ToolCall
    output: str = ""
    """That was seen last."""


@dataclass(slots=True, kw_only=True)
class ToolParts:
    text: SessionText
    counts: Counter[str] = field(default_factory=Counter)
    """``tools``, and of these ``commands`` and ``files``."""
    _running: dict[str, _Running] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _calls: dict[tuple[str, str], ToolCall] = field(default_factory=dict)
    """Those that run, by session and by the id of the call, which is unique only there."""

    def take(self, told: Part, place: Place) -> list[Change]:
        state = told.state
        if state is None or told.id in self._ended or not _RANK.get(state.status):
            return []
        call = tool_call(told.tool, state)
        changes: list[Change] = []
        if told.id not in self._running:
            changes += self._begin(told, call, place)
        running = self._running[told.id]
        running.call = call
        shown = self._output(told.id, running, place)
        if _RANK[state.status] == 2:
            shown += self._end(told, running, place)
            changes.append(self._tell(told, call, state.status, place))
        return [*changes, *written(shown)]

    def call(self, session: str, call: str) -> ToolCall | None:
        """One that runs, by its id."""
        return self._calls.get((session, call))

    def doing(self, session: str) -> Doing:
        """What the tools that run mean; empty: none does."""
        found = [each.call.doing for each in self._running.values() if each.session == session]
        return found[-1] if found else ""

    def rest(self, session: str, at: float) -> str:
        """The session rests: no tool of it runs, whatever is said of it."""
        names = [name for name, each in self._running.items() if each.session == session]
        return "".join(self.text.close(_output_of(name), at) for name in names)

    def _begin(self, told: Part, call: ToolCall, place: Place) -> list[Change]:
        self._running[told.id] = _Running(place.session, call)
        self._calls[place.session, told.call] = call
        self.counts.update(tools=1, commands=int(bool(call.command)), files=int(call.changes))
        shown = "" if call.changes else self._head(told.id, call, place)
        return [*written(shown), self._tell(told, call, "running", place)]

    def _head(self, name: str, call: ToolCall, place: Place) -> str:
        if not call.kind:
            return ""
        return self.text.add(call.kind, "", place.at, about=call.about, label=place.label, block=name)

    def _output(self, name: str, running: _Running, place: Place) -> str:
        new = new_output(running.output, running.call.output)
        running.output = running.call.output or running.output
        if not new:
            return ""
        about, block = _first_line(running.call.about), _output_of(name)
        return self.text.grow(block, "OUTPUT", new, place.at, about=about, label=place.label, under=name)

    def _end(self, told: Part, running: _Running, place: Place) -> str:
        call, name = running.call, told.id
        del self._running[name]
        self._calls.pop((place.session, told.call), None)
        self._ended.add(name)
        shown = self._head(name, call, place) if call.changes else ""
        output = _output_of(name)
        shown += self.text.close(output, place.at)
        about, under = _first_line(call.about), output if running.output else name
        if call.elsewhere:
            shown += self.text.add("OUTPUT", "", place.at, about=f"all of it is in {call.elsewhere}", label=place.label)
        if call.code:
            shown += self.text.add(f"EXIT {call.code}", "", place.at, about=about, label=place.label, under=under)
        if call.error:
            what = f"{told.tool} {about}: {call.error}"
            shown += self.text.add("ERROR", "", place.at, about=what, label=place.label)
        return shown

    def _tell(self, told: Part, call: ToolCall, state: str, place: Place) -> Tell:
        event = SessionTool(
            **place.fields(),
            call=told.call or told.id,
            name=told.tool,
            state=_STATES[state],
            command=call.command[:_LONGEST],
            path=call.path,
            error=call.error[:_LONGEST],
            code=call.code,
        )
        return Tell(event)


def _output_of(name: str) -> str:
    return f"{name} output"


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 80 else f"{line[:79]}…"
