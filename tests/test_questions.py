"""What in the last line of an output is a question, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.questions import find_question


@pytest.mark.parametrize(
    "line",
    [
        "Proceed? [y/n]",
        "Do you want to continue? [Y/n]",
        "Are you sure you want to continue connecting (yes/no/[fingerprint])?",
        "[sudo] password for joe:",
        "Overwrite? (y/N):",
        "Allow edits? (Y)es/(N)o [Yes]:",
        "Press any key to continue...",
        "Press ENTER",
        "Enter passphrase for key '/root/.ssh/id.rsa':",
        "Ok to proceed? (y)",
        "Is this ok [y/N]:",
        "Proceed?",
    ],
)
def test_what_asks_for_an_answer_is_found_with_or_without_its_line_end(line: str) -> None:
    assert find_question(f"before\n{line} ".encode()) == line
    assert find_question(f"before\r\n\x1b[1m{line}\x1b[0m\n".encode()) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "> ",
        "done.",
        "Proceed? [y/n] y",
        "Proceed? [y/n]\ny\n",
        "Should we continue? No.",
        "password: ok",
        "wrong password: access denied",
        "[y/n] is what it asks",
        "x" * 200 + " [y/n]",
        "continue",
    ],
)
def test_what_was_answered_or_is_no_question_is_not_found(line: str) -> None:
    assert find_question(line.encode()) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_line_of_text_or_no_question(data: bytes) -> None:
    found = find_question(data)

    assert found is None or (found and "\n" not in found)
