"""What is news on a screen that is painted again and again."""

import pytest

from protocols.painting import Painting


@pytest.mark.parametrize(
    "frames",
    [
        ["⠋ Thinking", "⠙ Thinking", "⠹ Thinking"],
        ["| work", "/ work", "- work", "\\ work"],
        ["Working.", "Working..", "Working..."],
        ["Thinking… (9s · esc)", "Thinking… (10s · esc)", "Thinking… (1m 2s · esc)"],
        ["elapsed 0:59", "elapsed 1:00", "elapsed 1:00:01"],
        ["waited 1.5 seconds", "waited 2 seconds"],
    ],
)
def test_a_spinner_and_a_clock_show_nothing_new(frames: list[str]) -> None:
    painting = Painting()
    painting.is_new([frames[0]])

    assert [painting.is_new(["", frame]) for frame in frames[1:]] == [False] * (len(frames) - 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("fetching", "building"),
        ("12%", "13%"),
        ("[#####    ]", "[######   ]"),
        ("tests ......", "tests .......F"),
        ("1200 tokens", "1300 tokens"),
    ],
)
def test_other_words_numbers_and_longer_bars_are_news(before: str, after: str) -> None:
    painting = Painting()

    assert painting.is_new([before])
    assert painting.is_new([before, after])
    assert not painting.is_new([after])


def test_rows_that_move_are_no_news_and_old_ones_are_forgotten() -> None:
    painting = Painting()
    painting.is_new(["one", "two"])

    assert not painting.is_new(["two", "one"])
    assert painting.is_new(f"line {number}" for number in range(5000))
    assert painting.is_new(["one"])
