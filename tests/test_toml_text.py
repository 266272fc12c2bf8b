"""What is wrong with TOML, and where."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PlanError, SettingsError
from protocols.toml_text import parse_toml, write_toml


def test_the_tables_of_a_text_come_back() -> None:
    assert parse_toml("[a]\nb = 1\r\n", "x.toml", PlanError) == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = 1\nb = ", "line 2, column 5, the end: not valid TOML: Invalid value; correct it"),
        ("a = 1\nb = ]\n", "line 2, column 5: not valid TOML: Invalid value; correct it"),
        ("a = '\x1b[0m'", r"line 1, column 6: not valid TOML: Found invalid character '\x1b'; correct it"),
        ("a = " + "[" * 50_000, "nested too deeply; make it flatter"),
        ("a = " + "1" * 5_000, "not valid TOML: a number has too many digits; shorten it"),
    ],
    ids=["end", "value", "control character", "depth", "digits"],
)
def test_a_mistake_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_toml(text, "x.toml", SettingsError)

    assert caught.value.problems == (f"x.toml: {problem}",)


_JSON = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), _JSON, max_size=4))
def test_what_is_written_is_read_as_the_same(table: dict[str, object]) -> None:
    assert parse_toml(write_toml(table), "x.toml", PlanError) == table


def test_null_is_no_value_and_its_place_is_told() -> None:
    with pytest.raises(ValueError, match=r"^a\.b\[1\]: null is no value"):
        write_toml(json.loads('{"a": {"b": [1, null]}}'))
