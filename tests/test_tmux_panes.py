"""Places in what a pane prints, pictures of it, and tmux's words for its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.tmux_panes import Death, Until, kind_of, new_lines, parse_death


@given(st.binary(max_size=40), st.binary(min_size=1, max_size=4), st.binary(max_size=40), st.lists(st.integers(0, 90)))
def test_the_first_of_some_bytes_is_found_however_they_are_cut(
    before: bytes, wanted: bytes, behind: bytes, cuts: list[int]
) -> None:
    data = before + wanted + behind
    until, found, rest, start = Until(wanted), b"", None, 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        part, rest = until.feed(data[start:end])
        found, start = found + part, end
        if rest is not None:
            break

    expected, _, right = data.partition(wanted)
    assert found == expected
    assert rest is not None and rest + data[start:] == right


@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=8), st.lists(st.sampled_from([b"a", b"b"]), max_size=4))
def test_lines_that_were_added_below_are_new(before: list[bytes], added: list[bytes]) -> None:
    found = new_lines(before, before + added)

    assert found == added
    assert new_lines([b"x", *before], [b"x", *before]) == []


def test_a_line_that_has_grown_comes_once_more_and_one_that_scrolled_away_is_not_missed() -> None:
    assert new_lines([b"1", b"2", b"dow"], [b"1", b"2", b"download", b"4"]) == [b"download", b"4"]
    assert new_lines([b"1", b"2", b"3"], [b"2", b"3", b"4"]) == [b"4"]
    assert new_lines([b"1", b"2"], [b"x", b"y"]) == [b"x", b"y"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no server running on /tmp/x", "server"),
        ("error connecting to /tmp/x (No such file or directory)", "server"),
        ("server exited unexpectedly", "server"),
        ("can't find pane: %7", "target"),
        ("no sessions", "target"),
        ("duplicate session: a", "refused"),
    ],
)
def test_the_kind_of_an_error_is_known_by_its_text(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("line", "death"),
    [
        ("0  ", None),
        ("1 3 ", Death(code=3)),
        ("1  15", Death(signal="15")),
        ("1  TERM", Death(signal="TERM")),
        ("1", None),
        ("1  ", None),
        ("", None),
    ],
)
def test_the_end_of_a_program_is_its_code_or_its_signal(line: str, death: Death | None) -> None:
    assert parse_death(line) == death
