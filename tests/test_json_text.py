"""JSON that somebody else wrote."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.json_text import parse_json, without_fence

DEEPEST = 100
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


@given(VALUES, st.sampled_from([None, 1]))
def test_what_is_json_comes_back(value: object, indent: int | None) -> None:
    assert parse_json(json.dumps(value, indent=indent).encode(), DEEPEST) == value


@given(st.binary() | st.text('{}[]",:0e.-tfn \n\\u').map(str.encode))
def test_whatever_it_is_it_is_a_value_or_said_to_be_none(data: bytes) -> None:
    try:
        value = parse_json(data, DEEPEST)
    except ValueError:
        return
    assert json.loads(data) == value


@given(VALUES, st.data())
def test_where_it_ends_too_early_is_told(value: object, data: st.DataObject) -> None:
    text = json.dumps([value, 1], indent=1)
    cut = text[: data.draw(st.integers(1, len(text) - 1))].rstrip()

    with pytest.raises(ValueError, match="not JSON at line") as caught:
        parse_json(cut.encode(), DEEPEST)

    lines = cut.split("\n")
    line, column = (int(word.strip(",:")) for word in str(caught.value).split()[4:7:2])
    assert 1 <= line <= len(lines)
    assert 1 <= column <= len(lines[line - 1]) + 1


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty, not JSON"),
        (b" \n ", "empty, not JSON"),
        (b'{"a": 1,\n "b" 2}', "not JSON at line 2, column 6: expected ':'"),
        ('["ä", x]'.encode(), "not JSON at line 1, column 7: invalid character"),
        (b"[1,", "not JSON at line 1, column 4: it ends too early"),
        (b"1 2", "not JSON at line 1, column 4: trailing characters"),
        (b"NaN", "not JSON at line 1, column 1: invalid character"),
        (b"\xff\xfe[", "not JSON at line 1, column 1: invalid character"),
        (b"[" * 100_000, "more than 100 arrays and objects in each other"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "more than 100 arrays and objects in each other"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_json(data, DEEPEST)


def test_as_deep_as_allowed_is_not_too_deep() -> None:
    assert parse_json(b"[" * 100 + b"]" * 100, DEEPEST) is not None


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('\n```\n{"a":\n1}\n```\n', '{"a":\n1}'),
        ('{"a": "```"}', '{"a": "```"}'),
        ("Here:\n```json\n1\n```", "Here:\n```json\n1\n```"),
        ("```\n1\n```\n```\n2\n```", "```\n1\n```\n```\n2\n```"),
        ("```", "```"),
    ],
)
def test_one_block_of_code_that_is_all_is_opened(text: str, inner: str) -> None:
    assert without_fence(text) == inner
