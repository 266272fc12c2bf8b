from hypothesis import given
from hypothesis import strategies as st

from protocols.sizes import format_bytes


def test_sizes_have_a_unit_and_the_digits_that_matter() -> None:
    sizes = (0, 999, 1000, 9951, 34_000_000, 5 * 10**9, 12 * 10**12)

    assert [format_bytes(size) for size in sizes] == [
        *("0 B", "999 B", "1.0 kB", "10 kB", "34 MB", "5.0 GB", "12.0 TB")
    ]


@given(st.floats(0, 9.9e13))
def test_no_size_of_this_world_needs_more_than_seven_characters(size: float) -> None:
    assert len(format_bytes(size)) <= 7
