"""The scripted model by itself: what a request gets, which step is next, and who waits at a gate."""

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model_script import (
    Step,
    ask,
    call,
    drop,
    echo,
    edit,
    fail_stream,
    finish,
    gate,
    junk,
    pause,
    read,
    refuse,
    run,
    say,
    script,
    spawn,
    steps_of,
    think,
    todo,
    together,
    turns,
    write,
)
from tests.scripted_model import ScriptedModel, open_model

_Message = dict[str, Any]


_opened: list[http.client.HTTPConnection | http.client.HTTPResponse] = []


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with open_model() as opened:
        yield opened
    while _opened:
        _opened.pop().close()


def _user(*steps: Step, text: str = "Do this.") -> _Message:
    return {"role": "user", "content": script(*steps, text=text)}


def _tool(result: str = "") -> list[_Message]:
    """A turn that called a tool, and what came of it."""
    return [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call"}]},
        {"role": "tool", "tool_call_id": "call", "content": result},
    ]


def _post(model: ScriptedModel, *messages: _Message, session: str = "ses_1") -> http.client.HTTPResponse:
    host, port = model.url.removeprefix("http://").removesuffix("/v1").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    body = json.dumps({"model": "scripted", "messages": messages, "stream": True, "tools": []})
    connection.request("POST", "/v1/chat/completions", body, {"x-session-id": session})
    response = connection.getresponse()
    _opened.extend((connection, response))
    return response


def _chunks(response: http.client.HTTPResponse) -> list[dict[str, Any]]:
    text = response.read().decode()
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n")[:-2]]


def _deltas(model: ScriptedModel, *messages: _Message) -> list[dict[str, Any]]:
    chunks = _chunks(_post(model, *messages))
    return [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]


def _text(model: ScriptedModel, *messages: _Message) -> str:
    return "".join(delta.get("content", "") for delta in _deltas(model, *messages))


def _calls(model: ScriptedModel, *steps: Step) -> list[tuple[str, str]]:
    """The tools that the model calls, with their arguments."""
    names: list[str] = []
    arguments: list[str] = []
    for delta in _deltas(model, _user(*steps)):
        for each in delta.get("tool_calls", []):
            if "id" in each:
                names.append(each["function"]["name"])
            else:
                arguments.append(each["function"]["arguments"])
    return list(zip(names, arguments, strict=True))


def test_it_thinks_and_speaks_in_the_pieces_that_the_script_says(model: ScriptedModel) -> None:
    deltas = _deltas(model, _user(think("hm ", times=2), say("abcde", size=2), say("!")))

    assert deltas == [
        {"reasoning_content": "hm "},
        {"reasoning_content": "hm "},
        {"content": "ab"},
        {"content": "cd"},
        {"content": "e"},
        {"content": "!"},
    ]


def test_the_end_of_a_turn_tells_why_it_ended_and_what_it_cost(model: ScriptedModel) -> None:
    chunks = _chunks(_post(model, _user(say("a"), finish("length", input_tokens=5, output_tokens=7))))

    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def test_a_turn_ends_with_its_tool_and_the_next_request_gets_the_next_turn(model: ScriptedModel) -> None:
    prompt = _user(say("first"), run("ls"), say("second"), write("/f", "x"), echo())

    first = _chunks(_post(model, prompt))
    assert first[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert _text(model, prompt) == "first"
    assert _text(model, prompt, *_tool()) == "second"
    assert _text(model, prompt, *_tool(), *_tool("written")) == "written"
    assert _text(model, prompt, *_tool(), *_tool(), *_tool()) == "Done."


def test_the_newest_script_counts_and_a_prompt_without_one_gets_an_answer(model: ScriptedModel) -> None:
    old, plain = _user(run("ls"), say("old")), {"role": "user", "content": "and now?"}

    assert _text(model, old, *_tool(), _user(say("new"))) == "new"
    assert _text(model, old, *_tool(), {"role": "assistant", "content": "old"}, plain) == "old"
    assert _text(model, plain) == "Done."


def test_parts_of_a_message_are_read_as_one_text(model: ScriptedModel) -> None:
    content = [{"type": "text", "text": "<reminder/>"}, {"type": "text", "text": script(say("a")) + "\n<reminder/>"}]

    assert _text(model, {"role": "user", "content": content}) == "a"


def test_each_tool_is_called_as_opencode_wants_it(model: ScriptedModel) -> None:
    assert _calls(model, run("ls", timeout=5)) == [
        ("bash", '{"command": "ls", "description": "As the test says", "timeout": 5}')
    ]
    assert _calls(model, write("/f", "x")) == [("write", '{"filePath": "/f", "content": "x"}')]
    assert _calls(model, edit("/f", "x", "y")) == [("edit", '{"filePath": "/f", "oldString": "x", "newString": "y"}')]
    assert _calls(model, read("/f")) == [("read", '{"filePath": "/f"}')]
    assert _calls(model, call("other", "{broken")) == [("other", "{broken")]
    assert _calls(model, call("other", {"a": 1})) == [("other", '{"a": 1}')]
    [(tool, arguments)] = _calls(model, todo(wash="pending"))
    assert (tool, json.loads(arguments)["todos"][0]["content"]) == ("todowrite", "wash")
    [(tool, arguments)] = _calls(model, ask("Which?", "a", "b"))
    assert (tool, [each["label"] for each in json.loads(arguments)["questions"][0]["options"]]) == (
        "question",
        ["a", "b"],
    )


def test_tools_that_are_called_together_are_one_turn(model: ScriptedModel) -> None:
    assert [name for name, _ in _calls(model, together(run("ls"), read("/f")), say("next turn"))] == ["bash", "read"]


def test_a_sub_agent_gets_a_script_of_its_own(model: ScriptedModel) -> None:
    steps = (run("ls"), spawn(say("grandchild")), say("child"))
    [(tool, arguments)] = _calls(model, spawn(*steps, name="reader", agent="explore"))

    asked = json.loads(arguments)
    assert (tool, asked["description"], asked["subagent_type"]) == ("task", "reader", "explore")
    assert steps_of(asked["prompt"]) == list(steps)


def test_what_stands_before_the_script_can_be_said(model: ScriptedModel) -> None:
    assert _text(model, _user(echo("prompt"), text="the result of another")) == "the result of another"


def test_a_refusal_tells_status_and_when_to_come_back(model: ScriptedModel) -> None:
    response = _post(model, _user(refuse(429, "too many", retry_after="2")))

    assert (response.status, response.headers["retry-after"]) == (429, "2")
    assert json.loads(response.read())["error"]["message"] == "too many"


def test_a_fault_ends_after_so_many_requests_of_this_session_and_turn(model: ScriptedModel) -> None:
    prompt = _user(refuse(500, times=2), say("at last"))

    def statuses(session: str, *more: _Message) -> list[int]:
        return [_post(model, prompt, *more, session=session).status for _ in range(3)]

    assert statuses("ses_1") == [500, 500, 200]
    assert statuses("ses_2") == [500, 500, 200]
    assert statuses("ses_1", {"role": "assistant", "content": "x"}, _user(refuse(500, times=1))) == [500, 200, 200]


def test_a_dropped_connection_is_no_end(model: ScriptedModel) -> None:
    prompt = _user(say("half"), drop(times=1), say(" and half"))

    with pytest.raises(http.client.IncompleteRead) as caught:
        _post(model, prompt).read()
    assert b"half" in caught.value.partial
    assert _text(model, prompt) == "half and half"


def test_the_stream_can_hold_what_is_no_json_and_errors(model: ScriptedModel) -> None:
    text = _post(model, _user(junk('{"a'), fail_stream("overloaded"))).read().decode()

    assert 'data: {"a\n\n' in text
    assert '"message": "overloaded"' in text


def test_who_waits_at_a_gate_has_sent_what_was_said_before(model: ScriptedModel) -> None:
    response = _post(model, _user(say("before"), gate("a"), say("after")))
    model.reached("a")
    sent = [response.readline() for _ in range(4)]  # two events, each with the empty line at its end
    assert b"role" in sent[0] and b"before" in sent[2]

    model.open("a")
    assert b"after" in response.read()
    assert model.arrived("a") == 1


def test_an_open_gate_holds_nobody_and_a_shut_one_again_does(model: ScriptedModel) -> None:
    model.open("a")
    assert _text(model, _user(gate("a"), say("x"))) == "x"
    model.shut("a")
    response = _post(model, _user(gate("a"), say("y")))
    model.reached("a", 2)

    model.open("a")
    assert b"y" in response.read()


def test_a_gate_at_which_nobody_comes_is_told_when_the_model_ends() -> None:
    errors: list[AssertionError] = []

    def wait(model: ScriptedModel) -> None:
        try:
            model.reached("a")
        except AssertionError as error:
            errors.append(error)

    with open_model() as model:
        thread = threading.Thread(target=wait, args=(model,))
        thread.start()
    thread.join()

    assert "nobody came to the gate 'a'" in str(errors)


def test_who_asks_for_a_title_gets_one_and_takes_no_step(model: ScriptedModel) -> None:
    system = {"role": "system", "content": "You are a title generator. You output ONLY a thread title."}
    prompt = _user(refuse(500, times=1), say("x"))

    assert _text(model, system, prompt) == "A title"
    assert model.requests == []
    assert _post(model, prompt).status == 500


def test_what_was_asked_is_kept(model: ScriptedModel) -> None:
    _post(model, _user(pause(0), say("x")), session="ses_9").read()

    [request] = model.requests
    assert (request.session, request.body["model"], len(request.messages), request.tools) == (
        "ses_9",
        "scripted",
        1,
        [],
    )


_STEPS = st.lists(st.sampled_from([say("a"), run("ls"), write("/f", "SCRIPT ["), spawn(say("b")), gate("g")]))


@given(_STEPS, st.text())
def test_a_script_survives_its_way_through_a_prompt(steps: list[Step], text: str) -> None:
    found = steps_of(script(*steps, text=text.replace("SCRIPT", "")) + "\nand more ]")

    assert found == steps
    assert [step for turn in turns(steps) for step in turn][: len(steps)] == steps
