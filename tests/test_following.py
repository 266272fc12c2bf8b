import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.errors import InputError
from protocols.events import Event, RunEnded
from protocols.ids import TaskId
from supervisor import following, salvage
from supervisor.fleets import Fleet, create_fleet, find_fleet
from supervisor.following import Log, read_batches
from supervisor.state import open_state
from tests.made_fleets import add_records, exited, fill_spool, make_fleet, run_ended, run_started, starting


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAUSE", 0.002)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


@pytest.fixture
def living(state: Path) -> Iterator[Fleet]:
    with create_fleet(state, plan="p", cwd="/", version="1") as made:
        yield find_fleet(state, made.identity.run)


@pytest.fixture
def ended(state: Path) -> Fleet:
    return make_fleet(state, [run_started("a"), starting("a"), exited("a"), run_ended(succeeded=1)])


@contextmanager
def meanwhile(*acts: Callable[[], object]) -> Iterator[None]:
    """Do one thing after the other in a thread."""

    def act() -> None:
        for each in acts:
            each()

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()


def events_of(fleet: Fleet, after: int = 0, *, follow: bool = False) -> list[Event]:
    return [record.event for batch in read_batches(fleet, after, follow=follow) for record in batch]


def test_all_records_behind_a_number_are_read(state: Path) -> None:
    events: list[Event] = [run_started("a"), starting("a"), exited("a"), run_ended(succeeded=1)]
    fleet = make_fleet(state, events)

    assert events_of(fleet) == events
    assert events_of(fleet, 2) == events[2:]
    assert events_of(fleet, 99) == []


def test_many_records_come_in_batches(state: Path) -> None:
    starts = [starting("a", at=float(number)) for number in range(2500)]
    fleet = make_fleet(state, [run_started("a"), *starts, run_ended()])

    assert [len(batch) for batch in read_batches(fleet)] == [1000, 1000, 502]


def test_a_living_run_is_read_as_far_as_it_got(living: Fleet) -> None:
    assert events_of(living) == []
    add_records(living, [run_started("a")])

    assert events_of(living) == [run_started("a")]


def test_following_ends_with_the_run(living: Fleet) -> None:
    events: list[Event] = [run_started("a"), starting("a"), exited("a"), run_ended(succeeded=1)]
    with meanwhile(*[partial(add_records, living, [event]) for event in events]):
        assert events_of(living, follow=True) == events


def test_following_a_run_that_is_over_is_reading_it(state: Path) -> None:
    fleet = make_fleet(state, [run_started(), run_ended()])

    assert events_of(fleet, follow=True) == [run_started(), run_ended()]


def test_reading_a_killed_run_tells_its_end(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a")])

    for follow in (True, False):
        [*_, last] = events_of(fleet, follow=follow)
        assert isinstance(last, RunEnded) and last.outcome == "interrupted"


@pytest.mark.parametrize("follow", [True, False])
def test_a_run_that_was_removed_is_an_error_and_nothing_is_made_in_its_place(
    living: Fleet, tmp_path: Path, follow: bool
) -> None:
    add_records(living, [run_started("a")])
    living.folder.root.rename(tmp_path / "removed")

    with pytest.raises(InputError, match="it was removed meanwhile"):
        events_of(living, follow=follow)
    assert not living.folder.root.exists()


def text_of(log: Log, start: int = 0, length: int | None = None, *, follow: bool = False) -> bytes:
    log.check(follow=follow)
    return b"".join(log.read(start, length, follow=follow))


def test_the_last_attempt_is_meant_unless_one_is_named(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), starting("a"), exited("a"), starting("a", 2), exited("a", 2)])
    fill_spool(fleet, "a", b"first")
    fill_spool(fleet, "a", b"second", attempt=2)
    fill_spool(fleet, "a", b"error", attempt=2, stream="stderr")

    assert text_of(Log(fleet, TaskId("a"))) == b"second"
    assert text_of(Log(fleet, TaskId("a"), 1)) == b"first"
    assert text_of(Log(fleet, TaskId("a"), stderr=True)) == b"error"


@pytest.mark.parametrize("follow", [True, False])
def test_a_terminal_is_the_one_stream_of_an_attempt(state: Path, follow: bool) -> None:
    pipes, terminal = starting("a"), starting("a", 2, source="pty")
    fleet = make_fleet(state, [run_started("a"), pipes, exited("a"), terminal, exited("a", 2)])
    fill_spool(fleet, "a", b"first")
    fill_spool(fleet, "a", b"on a terminal\r\n", attempt=2, stream="terminal")

    assert text_of(Log(fleet, TaskId("a")), follow=follow) == b"on a terminal\r\n"
    assert text_of(Log(fleet, TaskId("a"), 1), follow=follow) == b"first"
    with pytest.raises(
        InputError, match=r'^task "a": it ran on a terminal, where all output is one stream; leave --st'
    ):
        Log(fleet, TaskId("a"), stderr=True).check(follow=follow)


def test_following_the_stderr_of_a_task_that_then_begins_on_a_terminal_is_an_error(living: Fleet) -> None:
    add_records(living, [run_started("a")])
    log = Log(living, TaskId("a"), stderr=True)
    log.check(follow=True)
    add_records(living, [starting("a", source="pty")])

    with pytest.raises(InputError, match="leave --stderr out"):
        next(log.read(follow=True))


def test_a_worker_that_wrote_nothing_has_an_empty_log(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), starting("a"), exited("a")])

    assert text_of(Log(fleet, TaskId("a"))) == b""


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=50), start=st.integers(0, 60), length=st.none() | st.integers(0, 60))
def test_a_range_is_that_part_of_the_bytes(
    ended: Fleet, monkeypatch: pytest.MonkeyPatch, data: bytes, start: int, length: int | None
) -> None:
    monkeypatch.setattr(salvage, "_CHUNK", 7)
    fill_spool(ended, "a", data)

    expected = data[start:] if length is None else data[start : start + length]
    assert text_of(Log(ended, TaskId("a")), start, length) == expected


def test_following_ends_with_the_attempt_and_not_with_the_next_one(living: Fleet) -> None:
    add_records(living, [run_started("a"), starting("a")])
    path = fill_spool(living, "a", b"")

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            for number in range(100):
                file.write(b"line %d\n" % number)

    log = Log(living, TaskId("a"))
    log.check(follow=True)
    with meanwhile(write, partial(add_records, living, [exited("a"), starting("a", 2)])):
        text = b"".join(log.read(follow=True))

    assert text == path.read_bytes()
    assert len(path.read_bytes().splitlines()) == 100


def test_following_waits_for_a_task_that_has_not_begun(living: Fleet) -> None:
    with meanwhile(
        partial(add_records, living, [run_started("a")]),
        partial(add_records, living, [starting("a")]),
        partial(fill_spool, living, "a", b"text"),
        partial(add_records, living, [exited("a")]),
    ):
        assert text_of(Log(living, TaskId("a")), follow=True) == b"text"


def test_following_ends_when_the_range_is_complete(living: Fleet) -> None:
    add_records(living, [run_started("a"), starting("a")])
    fill_spool(living, "a", b"0123456789")

    assert text_of(Log(living, TaskId("a")), 2, 3, follow=True) == b"234"


def test_following_ends_when_the_supervisor_is_killed(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), starting("a")])
    fill_spool(fleet, "a", b"half a li")

    assert text_of(Log(fleet, TaskId("a")), follow=True) == b"half a li"


@pytest.mark.parametrize("follow", [True, False])
def test_an_unknown_task_is_an_error_that_helps(living: Fleet, follow: bool) -> None:
    add_records(living, [run_started("build", "test")])

    with pytest.raises(InputError, match=r'task "biuld": run .* has no such task; did you mean "build"'):
        Log(living, TaskId("biuld")).check(follow=follow)
    with pytest.raises(InputError, match=r"no such task; it has build, test$"):
        Log(living, TaskId("../../etc")).check(follow=follow)


def test_an_attempt_that_never_was_is_an_error(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a", "b"), starting("a"), exited("a")])

    with pytest.raises(InputError, match='task "a": it has no attempt 2; the last is 1'):
        Log(fleet, TaskId("a"), 2).check()
    with pytest.raises(InputError, match='task "b": it did not start: stopped'):
        Log(fleet, TaskId("b")).check()


def test_a_run_without_tasks_says_so(state: Path) -> None:
    with pytest.raises(InputError, match="it has no tasks at all"):
        Log(make_fleet(state, None), TaskId("a")).check(follow=True)


@pytest.mark.parametrize("follow", [True, False])
def test_what_was_read_of_a_log_file_is_a_stream_of_its_own(state: Path, follow: bool) -> None:
    both, only = starting("a", source="logfile", log="/log"), starting("b", source="logfile", log="/log", command=False)
    fleet = make_fleet(state, [run_started("a", "b"), both, exited("a"), only, exited("b")])
    fill_spool(fleet, "a", b"printed")
    fill_spool(fleet, "a", b"logged", stream="log")
    fill_spool(fleet, "b", b"logged too", stream="log")

    assert text_of(Log(fleet, TaskId("a")), follow=follow) == b"printed"
    assert text_of(Log(fleet, TaskId("a"), log=True), follow=follow) == b"logged"
    assert text_of(Log(fleet, TaskId("b")), follow=follow) == b"logged too"
    with pytest.raises(InputError, match=r'^task "b": it follows a file and runs nothing; leave --stderr out'):
        Log(fleet, TaskId("b"), stderr=True).check(follow=follow)


def test_of_a_task_that_follows_no_file_there_is_no_such_stream(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a"), starting("a"), exited("a")])

    with pytest.raises(InputError, match=r'^task "a": it follows no log file; leave --log out'):
        Log(fleet, TaskId("a"), log=True).check()
