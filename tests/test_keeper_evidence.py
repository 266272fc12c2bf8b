import os
from pathlib import Path

import pytest

from actors.keeper_process.evidence import Evidence, ticks_now
from actors.keeper_process.procfs import Process

NOBODY = frozenset[str]()
NO_SUCH_PID = 2**22 + 1


def process(start_ticks: int = 150, *, pid: int = NO_SUCH_PID, pgrp: int = 7, session: int = 7) -> Process:
    return Process(pid, 1, pgrp, session, start_ticks, "S", 1, "sleep")


@pytest.fixture
def evidence() -> Evidence:
    evidence = Evidence("fleet")
    evidence.add("one", 1000, 100, NOBODY)
    return evidence


def test_a_leader_is_known_by_its_pid_and_its_start(evidence: Evidence) -> None:
    assert evidence.led_by(process(100, pid=1000)) == "one"
    assert evidence.led_by(process(101, pid=1000)) is None
    assert evidence.led_by(process(100, pid=1001)) is None


def test_the_session_or_the_group_of_a_leader_shows_its_attempt(evidence: Evidence) -> None:
    assert evidence.shown_by(process(session=1000)) == "one"
    assert evidence.shown_by(process(pgrp=1000)) == "one"
    assert evidence.shown_by(process()) is None


def test_the_terminal_that_it_holds_shows_its_attempt(evidence: Evidence) -> None:
    master, slave = os.openpty()
    evidence.add("two", 2000, 200, frozenset({os.ttyname(slave)}))
    us = process(pid=os.getpid())

    held = evidence.shown_by(us)
    os.close(slave)
    closed = evidence.shown_by(us)
    os.close(master)

    assert (held, closed) == ("two", None)


def test_a_process_that_started_with_one_attempt_alone_is_of_that(evidence: Evidence) -> None:
    assert evidence.alone_with(process(100)) == "one"
    assert evidence.alone_with(process(99)) is None


def test_with_two_attempts_alive_at_its_start_it_may_be_of_either(evidence: Evidence) -> None:
    evidence.add("two", 2000, 200, NOBODY)

    assert evidence.alone_with(process(199)) == "one"
    assert evidence.alone_with(process(200)) is None


def test_an_attempt_that_has_ended_since_may_have_started_it_too(evidence: Evidence) -> None:
    evidence.add("two", 2000, 200, NOBODY)
    evidence.remove("two")

    assert evidence.alone_with(process(300)) is None
    assert evidence.alone_with(process(ticks_now() + 1)) == "one"


def test_the_past_is_forgotten_when_nobody_is_left_to_ask_about(evidence: Evidence) -> None:
    evidence.add("two", 2000, 200, NOBODY)
    evidence.remove("two")

    evidence.forget_past(before=300)
    assert evidence.alone_with(process(300)) is None

    evidence.forget_past(before=ticks_now() + 1)
    assert evidence.alone_with(process(300)) == "one"


def test_a_removed_attempt_is_shown_by_nothing(evidence: Evidence) -> None:
    evidence.remove("one")
    evidence.remove("one")

    assert evidence.shown_by(process(session=1000)) is None
    assert evidence.led_by(process(100, pid=1000)) is None
    assert "one" not in evidence
    assert evidence.attempts() == []


def test_a_later_attempt_may_have_the_pid_of_an_earlier_leader(evidence: Evidence) -> None:
    evidence.add("two", 1000, 200, NOBODY)
    evidence.remove("one")

    assert evidence.led_by(process(200, pid=1000)) == "two"
    assert evidence.shown_by(process(session=1000)) == "two"


def test_the_file_that_it_may_write_to_shows_its_attempt_and_who_only_reads_it_is_nobody(
    tmp_path: Path, evidence: Evidence
) -> None:
    path = tmp_path / "out"
    path.touch()
    evidence.add("two", 2000, 200, frozenset({str(path)}))
    us = process(pid=os.getpid())

    with path.open("rb"):
        reading = evidence.shown_by(us)
    with path.open("ab"):
        writing = evidence.shown_by(us)

    assert (reading, writing) == (None, "two")
