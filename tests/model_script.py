"""What a scripted model does in a conversation: steps that a test writes into its prompt, as text and back.

A prompt is any text with ``SCRIPT [...]`` in it, a JSON list of the steps that the functions here make. A tool
step ends a turn: the agent runs the tool and asks again. After the last step the model says "Done." as often as it is
asked.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = [
    "Step",
    "ask",
    "call",
    "drop",
    "echo",
    "edit",
    "fail_stream",
    "finish",
    "gate",
    "junk",
    "pause",
    "read",
    "refuse",
    "run",
    "say",
    "script",
    "spawn",
    "steps_of",
    "think",
    "todo",
    "together",
    "turns",
    "write",
]

Step: TypeAlias = dict[str, Any]

MARKER = "SCRIPT "
TOOLS = {"ask", "call", "edit", "read", "run", "spawn", "todo", "together", "write"}


def script(*steps: Step, text: str = "Do this.") -> str:
    """A prompt that makes the model do these steps."""
    return f"{text}\n{MARKER}{json.dumps(steps)}"


def steps_of(prompt: str) -> list[Step] | None:
    """The steps of a prompt; None where it has none. What stands behind them is ignored."""
    _, found, rest = prompt.partition(f"{MARKER}[")
    if not found:
        return None
    steps: list[Step] = json.JSONDecoder().raw_decode(f"[{rest}")[0]
    return steps


def turns(steps: Sequence[Step]) -> list[list[Step]]:
    """What is said for each request: a turn ends with its tool step; the last one has none."""
    return list(_turns(steps))


def _turns(steps: Sequence[Step]) -> Iterator[list[Step]]:
    turn: list[Step] = []
    for step in steps:
        turn.append(step)
        if TOOLS & step.keys():
            yield turn
            turn = []
    yield turn or [say("Done.")]


def say(text: str, *, times: int = 1, size: int = 0) -> Step:
    """Text of the answer: ``text`` so many times, each in pieces of ``size`` characters (0: in one piece)."""
    return {"say": text, "times": times, "size": size}


def think(text: str, *, times: int = 1, size: int = 0) -> Step:
    """The same as reasoning."""
    return {"think": text, "times": times, "size": size}


def echo(what: str = "result") -> Step:
    """Say the ``result`` of the last tool, or what stands before the script in the ``prompt``."""
    return {"echo": what}


def run(command: str, **arguments: object) -> Step:
    """A shell command; ``timeout`` in milliseconds."""
    return {"run": command, **arguments}


def write(path: str, text: str) -> Step:
    return {"write": path, "text": text}


def edit(path: str, old: str, new: str) -> Step:
    return {"edit": path, "old": old, "new": new}


def read(path: str) -> Step:
    return {"read": path}


def ask(question: str, *options: str) -> Step:
    """A question to the person in front of the agent."""
    return {"ask": question, "options": list(options)}


def spawn(*steps: Step, name: str = "helper", agent: str = "general") -> Step:
    """A sub-agent, whose model does these steps."""
    return {"spawn": list(steps), "name": name, "agent": agent}


def todo(**states: str) -> Step:
    """The whole list: what is to do, and whether it is ``pending``, ``in_progress``, ``completed``, ``cancelled``."""
    return {"todo": states}


def call(tool: str, arguments: Mapping[str, object] | str) -> Step:
    """Any tool; arguments that are a text are sent as they are, be they JSON or not."""
    return {"call": tool, "arguments": arguments}


def together(*tools: Step) -> Step:
    """Several tools in one turn."""
    return {"together": list(tools)}


def gate(name: str) -> Step:
    """Say nothing more until the test opens this gate; what was said before has been sent."""
    return {"gate": name}


def pause(seconds: float) -> Step:
    """Be slow."""
    return {"pause": seconds}


def refuse(status: int, message: str = "refused", *, times: int = 1000, retry_after: str = "", code: str = "") -> Step:
    """An HTTP error to the first so many requests of this turn; it has to be the turn's first step."""
    return {"refuse": status, "message": message, "times": times, "retry-after": retry_after, "code": code}


def drop(*, times: int = 1000) -> Step:
    """Cut the connection, for the first so many requests of this turn."""
    return {"drop": True, "times": times}


def junk(text: str = '{"choices": [', *, times: int = 1000) -> Step:
    """Send what is no JSON where JSON belongs, for the first so many requests of this turn."""
    return {"junk": text, "times": times}


def fail_stream(message: str, *, times: int = 1000) -> Step:
    """An error in the midst of the stream, for the first so many requests of this turn."""
    return {"fail": message, "times": times}


def finish(reason: str, *, input_tokens: int = 100, output_tokens: int = 10) -> Step:
    """End the turn with this reason, such as ``length``; without it: ``stop``, or ``tool_calls`` after a tool."""
    return {"finish": reason, "input": input_tokens, "output": output_tokens}
