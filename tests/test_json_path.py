"""A path into a JSON value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.json_path import parse_path, select

VALUE = {"itps": [{"code": "A-1", "parts": [1, 2]}, {"code": "B-2", "parts": []}], "a b": {"x": None, "y": 0}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [VALUE]),
        ("$.itps[*].code", ["A-1", "B-2"]),
        ("itps[0].code", ["A-1"]),
        ("$.itps[-1].code", ["B-2"]),
        ("$.itps[*].parts[*]", [1, 2]),
        ("$['a b'].*", [None, 0]),
        ('$["a b"][*]', [None, 0]),
        ("['itps'][ 1 ]['code']", ["B-2"]),
        ("$.itps[7]", []),
        ("$.itps[-3]", []),
        ("$.itps.code", []),
        ("$.nothing[*]", []),
        ("$.itps[0].code[*]", []),
    ],
)
def test_a_path_leads_to_all_that_is_there_in_order(path: str, found: list[object]) -> None:
    assert select(parse_path(path), VALUE) == found


@pytest.mark.parametrize(
    "path", ["$.", "$..a", "$.a[", "$.a[?(@.b)]", "$.a[1:2]", "$[00]", "$.a b", "a..b", "$.1", "$['a]"]
)
def test_what_is_no_path_here_is_told(path: str) -> None:
    with pytest.raises(ValueError, match=r"no path at .*write it like"):
        parse_path(path)


_NAMES = st.sampled_from(["a", "b", "a b", "ü", "*", "$", "0", ""])
_JSON = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(_JSON, st.data())
def test_every_place_of_any_value_has_a_path_that_leads_there_and_nowhere_else(
    value: object, data: st.DataObject
) -> None:
    path, place = "$", value
    while isinstance(place, list | dict) and place and data.draw(st.booleans()):
        if isinstance(place, list):
            index = data.draw(st.integers(-len(place), len(place) - 1))
            path, place = f"{path}[{index}]", place[index]
        else:
            name = data.draw(st.sampled_from(sorted(place)))
            path, place = f'{path}["{name}"]', place[name]

    assert select(parse_path(path), value) == [place]
