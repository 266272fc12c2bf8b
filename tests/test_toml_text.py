"""What is wrong with TOML, and where."""

import pytest

from protocols.errors import PlanError, SettingsError
from protocols.toml_text import parse_toml


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
