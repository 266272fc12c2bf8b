import time

import pytest

from protocols.events import Record
from supervisor.record_text import record_line
from tests.made_fleets import exited, output, run_started, status


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_a_record_tells_what_happened_to_whom() -> None:
    assert record_line(Record(7, output("build", 2, offset=10, length=5, at=3661.25))).split() == [
        "7",
        "01:01:01.250",
        "worker.output",
        "build#2",
        "stream=stdout",
        "offset=10",
        "length=5",
    ]


def test_what_says_nothing_is_left_out() -> None:
    line = record_line(Record(1, status("build", "running")))

    assert line.endswith("build             status=running")


def test_zero_says_something() -> None:
    assert " code=0 " in record_line(Record(1, exited("a")))


def test_whatever_a_field_holds_it_is_one_line() -> None:
    line = record_line(Record(1, status("a", "failed", reason="first\n\x1b[31msecond\u202e" + "x" * 1000)))

    assert line.isprintable() and len(line) < 300
    assert r"reason=first \x1b[31msecond" in line


def test_lists_are_shown_as_json() -> None:
    assert 'tasks=["a","b"]' in record_line(Record(1, run_started("a", "b")))
