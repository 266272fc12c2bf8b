"""What the tools of an agent do, as their calls tell it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.opencode_dialect import ToolState
from protocols.session_tools import new_output, tool_call


@pytest.mark.parametrize(
    ("command", "doing"),
    [
        ("pytest -q", "testing"),
        ("cd a && npm run test", "testing"),
        ("go test ./...", "testing"),
        ("make check", "testing"),
        ("ls tests", "working"),
        ("make install", "working"),
        ("echo attest", "working"),
    ],
)
def test_a_shell_command_that_tests_is_testing(command: str, doing: str) -> None:
    call = tool_call("bash", ToolState("running", {"command": command}))

    assert (call.kind, call.about, call.command, call.doing) == ("BASH", f"$ {command}", command, doing)


def test_files_are_named_and_their_changes_counted() -> None:
    metadata: dict[str, object] = {"filediff": {"additions": 3, "deletions": 1}}
    edit = tool_call("edit", ToolState("completed", {"filePath": "/a"}, metadata=metadata))
    read = tool_call("read", ToolState("completed", {"filePath": "/b"}, output="secret"))

    assert (edit.kind, edit.about, edit.path, edit.changes) == ("EDIT", "/a (+3 -1)", "/a", True)
    assert (read.kind, read.about, read.output, read.changes) == ("READ", "/b", "", False)


def test_a_call_that_was_no_call_is_an_error() -> None:
    call = tool_call("invalid", ToolState("completed", {"tool": "bsh"}, output="no tool bsh"))

    assert (call.kind, call.error, call.output) == ("TOOL invalid", "no tool bsh", "")


def test_of_other_tools_the_beginning_of_the_output_is_shown() -> None:
    call = tool_call("webfetch", ToolState("completed", {"url": "http://x"}, output="x" * 5000))

    assert call.about == "http://x"
    assert call.output.endswith("\n… (1000 more characters)")


@pytest.mark.parametrize("arguments", [{}, {"command": 7}, {"command": None}, {"filePath": ["a"]}])
def test_arguments_of_any_kind_are_taken(arguments: dict[str, object]) -> None:
    for name in ("bash", "edit", "write", "read", "grep", "anything"):
        assert tool_call(name, ToolState("running", arguments)).command == ""


@given(st.lists(st.text(min_size=1), max_size=20), st.integers(2000, 4000))
def test_growing_output_is_taken_up_where_it_was(pieces: list[str], most: int) -> None:
    whole, seen, shown = "", "", ""
    for piece in pieces:
        whole += piece
        now = whole[-most:]
        shown += new_output(seen, now)
        seen = now

    assert shown == whole


def test_output_of_which_the_middle_was_never_seen_says_so() -> None:
    assert new_output("a" * 2000, "b" * 2000) == "\n…\n" + "b" * 2000
    assert new_output("abc", "") == new_output("abc", "ab") == ""
    assert new_output("x" * 1500 + "y" * 1500, "y" * 1500 + "z") == "z"
