"""Looking on at a run of another process, where that is over, gone, damaged or not there yet."""

import logging
import os
import pty
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from actors.display import LiveText, PlainText
from actors.keeper_process.procfs import Process, read_process
from actors.live.screen import Screen
from actors.messages import Said
from protocols.errors import InputError, JournalError
from protocols.events import Event, Record
from supervisor import following, watching
from supervisor.fleets import Fleet, create_fleet, find_fleet
from supervisor.output import Output
from supervisor.run_log import Sayer
from supervisor.settings import Settings
from supervisor.state import open_state
from supervisor.watching import watch_run
from tests.made_fleets import add_records, make_fleet, run_ended, run_started, status


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAUSE", 0.002)
    monkeypatch.setattr(watching, "_PAUSE", 0.002)
    monkeypatch.setattr(watching, "_REPORT_WITHIN", 0.0)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


@pytest.fixture
def living(state: Path) -> Iterator[Fleet]:
    with create_fleet(state, plan="p", cwd="/", version="1") as made:
        yield find_fleet(state, made.identity.run)


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for, a picture is chosen; standard output is a file all the same."""

    def choose(_: Output | None, *, show_output: bool) -> Output:
        assert not show_output
        return "live"

    monkeypatch.setattr(watching, "choose_output", choose)


def watch(state: Path, output: Output | None = "plain") -> int:
    return watch_run(None, Settings(state=state), output=output, show_output=False)


def test_a_run_is_over_when_its_end_is_recorded_however_long_its_supervisor_stays(
    state: Path, living: Fleet, capfd: pytest.CaptureFixture[str]
) -> None:
    add_records(living, [run_started("a"), status("a", "failed"), run_ended(failed=1)])

    assert watch(state) == 1
    assert "a: failed" in capfd.readouterr().out


@pytest.mark.usefixtures("on_a_terminal")
@pytest.mark.parametrize("alive", [True, False])
def test_of_a_run_that_is_over_a_terminal_gets_the_summary_alone(
    state: Path, alive: bool, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    fleet = request.getfixturevalue("living") if alive else make_fleet(state)
    add_records(fleet, [run_started("a"), status("a", "succeeded"), run_ended(succeeded=1)])

    assert watch(state) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("\ntask ") and "a: succeeded" not in shown and "\x1b" not in shown


def test_it_waits_for_the_journal_and_shows_what_comes(
    state: Path, living: Fleet, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    acts: Iterator[Event] = iter([run_started("a"), status("a", "succeeded"), run_ended(succeeded=1)])

    def act(_: float) -> None:
        if (event := next(acts, None)) is not None:
            add_records(living, [event])

    monkeypatch.setattr(watching, "_pause", act)

    assert watch(state) == 0
    assert [line.split("s  ")[1] for line in capfd.readouterr().out.splitlines()[:3]] == [
        "run aaaaaaaa: 1 task of plan.toml",
        "a: succeeded",
        "run aaaaaaaa: succeeded (1 succeeded)",
    ]


def test_a_run_that_was_killed_at_once_is_told_as_interrupted(state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_fleet(state, None)

    assert watch(state) == 130
    assert ": interrupted (no tasks)" in capfd.readouterr().out


@pytest.mark.parametrize("lock_held", [True, False])
def test_the_report_of_the_supervisor_is_waited_for(
    state: Path,
    lock_held: bool,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    fleet = request.getfixturevalue("living") if lock_held else make_fleet(state)
    add_records(fleet, [run_started("a"), run_ended(succeeded=1)])
    monkeypatch.setattr(Fleet, "process_lives", lambda _: None if lock_held else True)
    monkeypatch.setattr(watching, "_REPORT_WITHIN", 20.0)
    monkeypatch.setattr("time.sleep", lambda _: fleet.folder.report_markdown.touch())

    assert watch(state) == 0
    assert capfd.readouterr().out.endswith(f"report: {fleet.folder.report_markdown}\n")


def test_nobody_waits_for_a_report_that_no_process_writes(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_fleet(state, [run_started("a"), run_ended(succeeded=1)])
    monkeypatch.setattr(watching, "_REPORT_WITHIN", 1000.0)

    assert watch(state) == 0


@pytest.mark.parametrize("output", ["plain", "json"])
def test_when_nobody_reads_any_more_the_looking_ends(
    state: Path, living: Fleet, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    add_records(living, [run_started("a")])
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(watching, "_STDOUT", write)

    with pytest.raises(BrokenPipeError):
        watch(state, output)
    os.close(write)


def test_who_leaves_leaves_no_thread_that_reads_on(state: Path, living: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def read(*_: object, pause: Callable[[float], object], **__: object) -> Iterator[list[Record]]:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            while not ended.is_set():
                pause(0.002)
            yield []
        finally:
            ended.set()

    add_records(living, [run_started("a")])
    monkeypatch.setattr(watching, "read_batches", read)

    assert watch(state) == 130
    assert ended.wait(20)


def test_a_run_that_is_removed_meanwhile_is_one_error(
    state: Path, living: Fleet, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def remove(_: float) -> None:
        living.folder.root.rename(state / ".old-1")

    add_records(living, [run_started("a")])
    monkeypatch.setattr(watching, "_pause", remove)

    with pytest.raises(InputError, match=f"^run {living.name}: it was removed meanwhile; there is no .* any more$"):
        watch(state)
    assert capfd.readouterr().err == ""


def test_a_run_that_is_removed_while_it_is_shown_is_that_error_too(
    state: Path, living: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, *_: object, **__: object) -> None:
        living.folder.root.rename(state / ".old-1")
        raise JournalError(f"journal {path}: unable to open database file")

    add_records(living, [run_started("a")])
    monkeypatch.setattr("actors.subscription.read_records", read)

    with pytest.raises(InputError, match="it was removed meanwhile"):
        watch(state)


def test_a_run_that_is_removed_before_its_summary_is_one_error(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = make_fleet(state, [run_started("a"), run_ended(succeeded=1)])
    monkeypatch.setattr(watching, "_wait_for_report", lambda _: shutil.rmtree(fleet.folder.root))

    with pytest.raises(InputError, match="it was removed meanwhile"):
        watch(state)


@pytest.mark.parametrize("alive", [True, False])
def test_a_journal_that_cannot_be_read_is_one_error(
    state: Path, alive: bool, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    fleet = request.getfixturevalue("living") if alive else make_fleet(state, None)
    fleet.folder.journal.write_bytes(b"no journal" * 1000)

    with pytest.raises(JournalError, match="move it away"):
        watch(state)
    assert capfd.readouterr().err == ""


def test_a_journal_that_only_the_display_cannot_read_is_one_error_too(
    state: Path, living: Fleet, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def read(*_: object, **__: object) -> None:
        raise JournalError("record 7 is damaged")

    add_records(living, [run_started("a")])
    monkeypatch.setattr("actors.subscription.read_records", read)

    with pytest.raises(JournalError, match="record 7 is damaged"):
        watch(state)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("output", ["plain", "json"])
def test_a_run_whose_folder_is_damaged_is_an_error(
    state: Path, output: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    make_fleet(state, [run_started("a"), run_ended(succeeded=1)]).folder.identity.unlink()

    with pytest.raises(InputError, match=r"damaged: fleet\.json is missing"):
        watch(state, output)
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("on_a_terminal")
def test_a_picture_that_cannot_be_drawn_gives_way_to_lines_and_that_is_told(
    state: Path, living: Fleet, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run(_: Screen, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise ValueError("no font")

    add_records(living, [run_started("a"), status("a", "succeeded")])
    monkeypatch.setattr(Screen, "run", run)
    monkeypatch.setattr(watching, "_pause", lambda _: add_records(living, [run_ended(succeeded=1)]))

    assert watch(state) == 0
    shown = capfd.readouterr()
    assert "a: succeeded" in shown.out
    assert shown.err == "warning: no picture can be shown, here are lines: ValueError: no font\n"


@pytest.mark.parametrize("live", [True, False])
def test_what_hinders_the_end_of_a_dead_run_is_told_once(
    state: Path, live: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("supervisor.run_log.warn", told.append)
    monkeypatch.setattr("supervisor.watching.warn", told.append)
    monkeypatch.setattr(following, "conclude", lambda _: logging.getLogger("supervisor.sweep").warning("read-only"))
    monkeypatch.setattr(watching, "_is_over", lambda _: False)
    master, slave = pty.openpty()
    monkeypatch.setattr("supervisor.run_log._STDERR", slave)
    if live:
        request.getfixturevalue("on_a_terminal")
    make_fleet(state, [run_started("a")])

    watch(state)

    os.close(master)
    os.close(slave)
    assert [text for text in told if not text.startswith("no picture")] == ["read-only"]


async def test_a_picture_says_that_the_supervisor_is_stopped_for_as_long_as_it_is(
    autojump_clock: MockClock, living: Fleet, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    outbox, inbox = trio.open_memory_channel[Said](20)
    monkeypatch.setattr("supervisor.run_log.os.isatty", lambda _: True)
    stopped(monkeypatch, lambda: "T" if trio.current_time() < start + 100 else "S")
    start = trio.current_time()

    with trio.move_on_after(200):
        await watching._Watch(living, 1, LiveText(), Sayer(outbox))._tell_stops()

    begun, over = (inbox.receive_nowait() for _ in range(inbox.statistics().current_buffer_used))
    assert begun.about == over.about and " is stopped, " in begun.text and over.text == ""
    assert capfd.readouterr().err == ""


async def test_on_standard_error_it_is_told_once(
    autojump_clock: MockClock, living: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(watching, "warn", told.append)
    stopped(monkeypatch, lambda: "T")

    with trio.move_on_after(200):
        await watching._Watch(living, 1, PlainText(living.folder), None)._tell_stops()

    assert len(told) == 1


def stopped(monkeypatch: pytest.MonkeyPatch, state: Callable[[], str]) -> None:
    """The supervisor of every run is a process in this state."""

    def read(_: int) -> Process:
        process = read_process(os.getpid())
        assert process is not None
        return process._replace(state=state())

    monkeypatch.setattr(Fleet, "process_lives", lambda _: True)
    monkeypatch.setattr(watching, "read_process", read)
