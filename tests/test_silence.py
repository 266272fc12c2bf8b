"""What counts as a sign of life, what explains a silence, and how much of it was watched."""

import pytest
from hypothesis import given

from protocols.evidence import Evidence, Exit, Said
from protocols.silence import Policy, Watch, excuses, last_output, watch
from tests.made_evidence import EPOCH, evidence, likely_evidence

POLICY = Policy()


def looks(*seen: Evidence, excused: bool = False) -> Watch:
    last: Watch | None = None
    for each in seen:
        last = watch(each, POLICY, last, excused=excused)
    assert last is not None
    return last


@pytest.mark.parametrize(
    ("facts", "at"),
    [
        ({}, None),
        ({"last_byte": 7.0}, 7.0),
        ({"last_event": 8.0}, 8.0),
        ({"last_byte": 7.0, "last_event": 8.0}, 8.0),
        ({"last_byte": 9.0, "last_event": 8.0}, 9.0),
        ({"last_byte": 90.0, "repeats_since": 30.0}, 30.0),
        ({"last_byte": 90.0, "repeats_since": 30.0, "last_event": 40.0}, 40.0),
        ({"last_beat": 99.0}, None),
    ],
)
def test_the_last_output_is_the_last_that_was_new(facts: dict[str, object], at: float | None) -> None:
    assert last_output(evidence(100.0, **facts)) == at


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        ({}, []),
        ({"cpu": 0.04}, []),
        ({"cpu": None}, []),
        ({"cpu": 0.05}, ["its processes use 0.05 CPUs"]),
        ({"cpu": 0.2, "last_byte": 9.0, "repeats_since": 9.0}, []),
        ({"cpu": 0.3, "last_byte": 9.0, "repeats_since": 9.0}, ["its processes use 0.30 CPUs"]),
        ({"children_busy": 2}, ["2 of its sessions at work"]),
        ({"blocked": "No space left"}, ["its output waits for us to write it"]),
        ({"descendants": 4, "last_beat": 99.0, "writers": 1}, []),
    ],
)
def test_work_explains_a_silence_and_mere_life_does_not(facts: dict[str, object], reasons: list[str]) -> None:
    assert excuses(evidence(100.0, **facts), POLICY) == reasons


def test_a_silence_is_counted_from_the_last_new_output() -> None:
    last = looks(*(evidence(now, last_byte=min(now, 20.0)) for now in range(0, 100, 5)))

    assert (last.silence, last.watched_silence, last.trouble) == (75.0, 75.0, ())


def test_what_was_before_the_first_look_was_not_watched() -> None:
    last = looks(evidence(1000.0, last_byte=100.0), evidence(1005.0, last_byte=100.0))

    assert (last.silence, last.watched_silence, last.broken_at) == (905.0, 5.0, 1000.0)


def test_an_excuse_ends_a_silence_for_as_long_as_it_lasts() -> None:
    first = watch(evidence(100.0, last_byte=0.0), POLICY, None, excused=True)
    second = watch(evidence(105.0, last_byte=0.0), POLICY, first, excused=False)

    assert (first.silence, second.silence, second.watched_silence) == (0.0, 5.0, 5.0)


def test_a_gap_between_looks_counts_as_silence_that_nobody_watched() -> None:
    seen = [evidence(now, last_byte=0.0) for now in (0.0, 5.0, 10.0, 500.0, 505.0)]

    last = looks(*seen)

    assert (last.silence, last.watched_silence, last.broken_at) == (505.0, 15.0, 500.0)
    assert looks(*seen[:4]).trouble == ("nobody looked for 8m10s",)


def test_time_in_which_the_use_of_cpu_could_not_be_read_was_not_watched() -> None:
    last = looks(*(evidence(now, last_byte=0.0, cpu=None if 20 < now < 40 else 0.0) for now in range(0, 100, 5)))

    assert (last.silence, last.watched_silence, last.broken_at) == (95.0, 80.0, 0.0)


def test_output_after_a_gap_leaves_nothing_of_it() -> None:
    last = looks(
        *(evidence(now, last_byte=0.0) for now in (0.0, 500.0)),
        *(evidence(now, last_byte=503.0) for now in (505.0, 510.0)),
    )

    assert (last.silence, last.watched_silence) == (7.0, 7.0)


@pytest.mark.parametrize(
    ("facts", "trouble"),
    [
        (
            {"wall": EPOCH + 3700},
            ("the time of day jumped ahead by 1h: the machine slept, or its clock was set",),
        ),
        ({"wall": EPOCH - 500}, ("the time of day was set back by 10m",)),
        ({"wall": EPOCH + 101.9}, ()),
        ({"wall": EPOCH + 98.1}, ()),
        ({"reader_at": 84.0}, ("who reads its output has not been heard of for 16s",)),
        ({"reader_at": 85.0}, ()),
        ({"reader_at": None}, ("who reads its output has not been heard of for 1m40s",)),
        ({"reader_at": None, "started_at": None}, ()),
        ({"now": 90.0, "wall": EPOCH + 90}, ("the clock ran back by 5s",)),
    ],
)
def test_what_makes_a_look_worthless_is_told(facts: dict[str, object], trouble: tuple[str, ...]) -> None:
    assert looks(evidence(95.0), evidence(100.0, **facts)).trouble == trouble


def test_an_exit_is_not_forgotten() -> None:
    last = looks(evidence(5.0, exit=Exit(5.0, 0)), evidence(10.0, said=Said("busy", 1.0)))

    assert (last.exited, last.said) == (True, "busy")


@given(likely_evidence())
def test_no_more_is_watched_than_was_silent_and_no_sign_is_forgotten(seen: list[Evidence]) -> None:
    last: Watch | None = None
    for each in seen:
        new = watch(each, POLICY, last, excused=False)

        assert 0 <= new.watched_silence <= new.silence <= each.now
        assert new.unseen >= 0 and new.broken_at <= new.now
        assert last is None or new.sign >= last.sign
        last = new
