"""How often something may happen."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.token_bucket import TokenBucket

__all__: list[str] = []


def test_a_full_bucket_gives_its_tokens_at_once_and_then_one_for_each_tenth_of_a_second() -> None:
    bucket = TokenBucket(10.0, 3.0, 0.0)

    for _ in range(3):
        assert bucket.wait(0.0) == 0.0
        bucket.take(0.0)

    assert bucket.wait(0.0) == 0.1
    assert bucket.wait(0.05) == 0.05
    assert bucket.wait(0.1) == 0.0


@given(st.lists(st.floats(-2.0, 2.0), max_size=200))
def test_no_stretch_of_time_sees_more_than_a_bucket_and_what_flowed_into_it(steps: list[float]) -> None:
    bucket, now, passed, taken = TokenBucket(10.0, 10.0, 0.0), 0.0, 0.0, 0
    for step in steps:
        now, passed = now + step, passed + max(step, 0.0)
        while bucket.wait(now) == 0.0:
            bucket.take(now)
            taken += 1

        assert taken <= 10.0 + passed * 10.0 + 1e-6
