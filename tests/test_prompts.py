"""What is read on a settled screen: questions, permissions, and that somebody waits for orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.prompts import Prompt, Prompts, Shown, find_prompt
from tests.test_markers import BUILTIN


def shown(*rows: str) -> Shown:
    """With the cursor at the end of the last row."""
    return Shown(rows, (len(rows[-1]), len(rows) - 1), rows[-1])


@pytest.mark.parametrize(
    ("agent", "rows", "kind"),
    [
        ("tests", ("Do you want to proceed? (y/n)",), "question"),
        ("tests", ("Continue? [Y/n] ",), "question"),
        ("tests", ("Overwrite (yes/no)?:",), "question"),
        ("tests", ("[sudo] password for joe:",), "question"),
        ("tests", ("Enter passphrase for key '/root/.ssh/id':",), "question"),
        ("tests", ("text", "--More--"), "question"),
        ("tests", ("last line", "(END)"), "question"),
        ("generic", ("Press any key to continue...",), "question"),
        ("claude", ("Bash command", "Do you want to proceed?", "❯ 1. Yes", "  2. No", ""), "permission"),
        ("claude", ("> ", "  ? for shortcuts"), "idle"),
        ("codex", ("Would you like to run the following command?", "$ ls", ""), "permission"),
        ("opencode", ("△ Permission required", "Allow once   Allow always   Reject"), "permission"),
    ],
)
def test_what_programs_ask_is_seen(agent: str, rows: tuple[str, ...], kind: str) -> None:
    found = find_prompt(shown(*rows), BUILTIN[agent].prompts)

    assert found is not None and found.kind == kind


@pytest.mark.parametrize(
    ("agent", "rows"),
    [
        ("tests", ("Do you want to proceed? (y/n) y", "going on")),
        ("tests", ("Do you want to proceed? (y/n)", "")),
        ("tests", ("",)),
        ("tests", ("changed the password of 3 users",)),
        ("claude", ("✳ Pondering… (esc to interrupt)", "> ", "  ? for shortcuts")),
    ],
)
def test_what_was_answered_and_who_works_asks_nothing(agent: str, rows: tuple[str, ...]) -> None:
    assert find_prompt(shown(*rows), BUILTIN[agent].prompts) is None


def test_a_permission_counts_more_than_a_question_and_that_more_than_idleness() -> None:
    prompts = Prompts(asks=("sure?",), permission=("allow",), idle=("ready",))

    assert find_prompt(shown("ready", "allow it", "sure?"), prompts) == Prompt("permission", "allow it")
    assert find_prompt(shown("ready", "  sure?"), prompts) == Prompt("question", "sure?")
    assert find_prompt(shown("ready", "x"), prompts) == Prompt("idle", "ready")


def test_an_agent_asks_as_those_do_that_it_is_like() -> None:
    assert "(END)" in BUILTIN["claude"].prompts.asks
    assert "(END)" in BUILTIN["tests"].prompts.asks


@given(st.lists(st.text(max_size=20), min_size=1), st.text(max_size=300))
def test_any_screen_can_be_read_and_what_is_told_is_short(rows: list[str], before: str) -> None:
    prompts = Prompts(asks=("?",), permission=("a",), idle=("b",), busy=("c",))

    found = find_prompt(Shown(tuple(rows), (0, 0), before), prompts)

    assert found is None or len(found.text) <= 200
