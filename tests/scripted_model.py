"""A model on loopback that does what the prompt says (`tests.model_script`): OpenAI's chat completions, streamed.

Source of the format: ``POST /v1/chat/completions`` with ``stream`` as @ai-sdk/openai-compatible of opencode 1.18
uses it. What comes next follows from the conversation in the request alone, so that retries, restarts and several
sessions at once need no state here. Only "the first so many requests" of a step counts, by session and turn.
"""

import contextlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trio

from tests.model_script import Step, finish, say, steps_of, turns
from tests.opencode_tools import tool_calls

__all__ = ["ModelRequest", "ScriptedModel", "open_model"]

_PATIENCE = 25.0
_TITLE = "You are a title generator"
_Message = dict[str, Any]


@dataclass(frozen=True)
class ModelRequest:
    """One that was asked, as it came."""

    session: str
    """Of OpenCode: which one asks; empty where the agent does not tell."""
    body: dict[str, Any]

    @property
    def messages(self) -> list[_Message]:
        return self.body["messages"]  # type: ignore[no-any-return]

    @property
    def tools(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.body.get("tools", [])]


@dataclass
class ScriptedModel:
    """What the test has of it. Threads of the server wait at gates; nothing waits longer than a test may take."""

    url: str
    """Such as ``http://127.0.0.1:4711/v1``."""
    requests: list[ModelRequest] = field(default_factory=list)
    """All but those for a title, in the order in which they came."""
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _arrived: Counter[str] = field(default_factory=Counter)
    _open: set[str] = field(default_factory=set)
    _tries: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    _closed: bool = False

    def open(self, gate: str) -> None:
        """Let through who waits there, and who comes later."""
        with self._changed:
            self._open.add(gate)
            self._changed.notify_all()

    def shut(self, gate: str) -> None:
        """Hold who comes later."""
        with self._changed:
            self._open.discard(gate)

    def arrived(self, gate: str) -> int:
        """How many have come there so far."""
        with self._changed:
            return self._arrived[gate]

    def reached(self, gate: str, count: int = 1) -> None:
        """Return when ``count`` have come there, be it open or not. Raise AssertionError if they never do."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._arrived[gate] >= count or self._closed, _PATIENCE)
        assert came and not self._closed, f"nobody came to the gate {gate!r}"

    async def wait_reached(self, gate: str, count: int = 1) -> None:
        """The same for a test in trio."""
        await trio.to_thread.run_sync(self.reached, gate, count, abandon_on_cancel=True)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def pass_gate(self, gate: str) -> bool:
        """In a thread of the server: False, if the model ends."""
        with self._changed:
            self._arrived[gate] += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: gate in self._open or self._closed)
            return not self._closed

    def take(self, request: ModelRequest) -> tuple[list[Step], int]:
        """What to do now, and how often that was asked before."""
        steps, prompt, turn = _next_turn(request.messages)
        with self._changed:
            self.requests.append(request)
            key = (request.session, prompt, turn)
            before = self._tries[key]
            self._tries[key] += 1
        return steps, before


def _next_turn(messages: Sequence[_Message]) -> tuple[list[Step], int, int]:
    """The steps, the place of the prompt they come from, and which turn of it they are."""
    found: list[Step] = []
    prompt = -1
    for place, message in enumerate(messages):
        if message["role"] == "user" and (steps := steps_of(text_of(message))) is not None:
            found, prompt = steps, place
    done = sum(bool(message.get("tool_calls")) for message in messages[prompt + 1 :])
    planned = turns(found)
    return planned[done] if done < len(planned) else turns([])[0], prompt, done


def text_of(message: _Message) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ScriptedModel

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass

    def do_GET(self) -> None:
        body = json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}).encode()
        self._answer(200, body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with contextlib.suppress(ConnectionError):
            self._serve(ModelRequest(self.headers.get("x-session-id", ""), body))

    def _serve(self, request: ModelRequest) -> None:
        if _is_for_title(request):
            self._stream([say("A title")], 0, request)
            return
        steps, before = self.model.take(request)
        first = steps[0]
        if "refuse" in first and before < first["times"]:
            self._refuse(first)
        else:
            self._stream(steps, before, request)

    def _refuse(self, step: Step) -> None:
        error = {"message": step["message"], "type": "refused", "code": step["code"] or None}
        headers = {"retry-after": step["retry-after"]} if step["retry-after"] else {}
        self._answer(step["refuse"], json.dumps({"error": error}).encode(), headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, steps: Sequence[Step], before: int, request: ModelRequest) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._event(_chunk({"role": "assistant", "content": ""}))
        end = finish("stop")
        for step in steps:
            if "finish" in step:
                end = step
            elif not self._do(step, before, request):
                self.close_connection = True
                return
            if calls := tool_calls(step):
                end = finish("tool_calls")
                self._call(calls, len(request.messages))
        self._event({**_chunk({}, end["finish"]), "usage": _usage(end)})
        self._write(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _do(self, step: Step, before: int, request: ModelRequest) -> bool:
        """One that is no tool; False if it ends the connection."""
        match step:
            case {"gate": str(name)}:
                return self.model.pass_gate(name)
            case {"pause": float() | int() as seconds}:
                time.sleep(seconds)
            case {"drop": _, "times": int(times)} if before < times:
                return False
            case {"junk": str(text), "times": int(times)} if before < times:
                self._write(f"data: {text}\n\n".encode())
            case {"fail": str(message), "times": int(times)} if before < times:
                self._event({"error": {"message": message, "type": "server_error"}})
            case _:
                for key, piece in _said(step, request.messages):
                    self._event(_chunk({key: piece}))
        return True

    def _call(self, calls: Sequence[tuple[str, str]], turn: int) -> None:
        for index, (tool, arguments) in enumerate(calls):
            name = {"name": tool, "arguments": ""}
            head = {"index": index, "id": f"call_{turn}_{index}", "type": "function", "function": name}
            self._event(_chunk({"tool_calls": [head]}))
            self._event(_chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}))

    def _event(self, data: dict[str, Any]) -> None:
        self._write(b"data: " + json.dumps(data).encode() + b"\n\n")

    def _write(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _is_for_title(request: ModelRequest) -> bool:
    return any(text_of(message).startswith(_TITLE) for message in request.messages if message["role"] == "system")


def _said(step: Step, messages: Sequence[_Message]) -> Iterator[tuple[str, str]]:
    """The deltas of a step that says something."""
    match step:
        case {"think": str(text)}:
            key = "reasoning_content"
        case {"say": str(text)}:
            key = "content"
        case {"echo": "prompt"}:
            prompts = (text_of(message) for message in messages if message["role"] == "user")
            key, text = "content", next(prompts, "").partition("\nSCRIPT ")[0]
        case {"echo": _}:
            results = [text_of(message) for message in messages if message["role"] == "tool"]
            key, text = "content", (results or [""])[-1]
        case _:
            return
    size = step.get("size") or len(text) or 1
    for _ in range(step.get("times", 1)):
        for start in range(0, len(text), size):
            yield key, text[start : start + size]


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
    }


def _usage(end: Step) -> dict[str, int]:
    given, made = end["input"], end["output"]
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


class _Server(ThreadingHTTPServer):
    """An agent that is killed resets its connections: that is worth no words."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def open_model() -> Iterator[ScriptedModel]:
    """A model on a free port of 127.0.0.1."""
    handler = type("_Bound", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        model = ScriptedModel(f"http://127.0.0.1:{server.server_port}/v1")
        handler.model = model  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield model
        finally:
            model.close()
            server.shutdown()
            thread.join()
