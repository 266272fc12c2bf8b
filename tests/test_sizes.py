import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sizes import format_bytes, parse_bytes


def test_sizes_have_a_unit_and_the_digits_that_matter() -> None:
    sizes = (0, 999, 1000, 9951, 34_000_000, 5 * 10**9, 12 * 10**12)

    assert [format_bytes(size) for size in sizes] == [
        *("0 B", "999 B", "1.0 kB", "10 kB", "34 MB", "5.0 GB", "12.0 TB")
    ]


@given(st.floats(0, 9.9e13))
def test_no_size_of_this_world_needs_more_than_seven_characters(size: float) -> None:
    assert len(format_bytes(size)) <= 7


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("17 B", 17), ("1.5kB", 1500), ("2KB", 2000), ("34MB", 34 * 10**6), ("2GiB", 2 * 1024**3)],
)
def test_a_written_size_has_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MB", "5", "-5MB", "5mb", "5 M", "5iB", "1e3MB", "nan B", "5MB\n", "99999TB"])
def test_what_is_no_size_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_bytes(text)


@given(st.floats(0, 9e12))
def test_what_is_shown_can_be_written(size: float) -> None:
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.06, abs=0.5)
