"""How following a log file ends: by its sentinel, with its command, by a stop, a timeout, or because there is none."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from actors.orders import AskSpawn
from protocols.keeper import Blocked, Ended, Exited, Missed, Resumed, Stop, Stopping
from tests.log_desk import LogDesk, Served, ended, open_log_desk
from tests.small_disk import enlarge, small_disk
from tests.users import as_nobody


async def _commanded(desk: LogDesk, **keys: object) -> tuple[AskSpawn, Served]:
    served = await desk.serve(command=True, **keys)  # type: ignore[arg-type] # as named
    ask = await desk.spawns()
    await served.spawned()
    return ask, served


async def test_a_sentinel_ends_a_file_without_a_command_with_success(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve(until="DONE")
        await served.spawned()
        desk.append(b"one\nDO")
        await served.copied(b"one\nDO")
        desk.append(b"NE\nmore")
        last = await served.next(Ended)

    assert (last.reason, last.detail) == ("sentinel", "")
    assert served.spool.read_bytes() == b"one\nDONE\nmore"
    assert [type(report) for report in served.told] == [Exited, Ended]


async def test_a_sentinel_gives_a_command_time_to_end_by_itself(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        ask, served = await _commanded(desk, until="DONE")
        desk.append(b"DONE\n")
        await served.copied(b"DONE\n")
        await ask.reports.send(ended(ask, 1))
        last = await served.next(Ended)

    assert (last.reason, last.code, last.log_bytes) == ("sentinel", 1, 5)


async def test_a_command_that_stays_after_the_sentinel_is_stopped(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        ask, served = await _commanded(desk, until="DONE")
        desk.append(b"DONE\n")
        stop = await desk.told()
        await ask.reports.send(Stopping(attempt=served.request.attempt, reason="sentinel", grace=1.0))
        desk.append(b"last words\n")
        await ask.reports.send(ended(ask, None, signal="SIGTERM", reason="sentinel"))
        last = await served.next(Ended)

    assert stop == Stop(attempt=served.request.attempt, grace=1.0, reason="sentinel")
    assert (last.reason, last.signal, last.detail, last.log_bytes) == ("sentinel", "SIGTERM", "", 16)


async def test_a_sentinel_among_the_last_words_counts_unless_somebody_stopped_the_command(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        for name, reason in (("a", "exit"), ("b", "stop")):
            desk.log.unlink(missing_ok=True)
            served = await desk.serve(name, command=True, until="DONE")
            ask = await desk.spawns()
            await served.spawned()
            if reason == "stop":
                await served.stop()
                await desk.told()
            desk.append(b"x\nDONE")  # the end of the command is that of the line
            await ask.reports.send(ended(ask, 1, reason="exit" if reason == "exit" else "stop"))
            assert (await served.next(Ended)).reason == ("sentinel" if reason == "exit" else "stop")


async def test_the_end_of_the_command_waits_until_all_is_copied_through_all_rotations(tmp_path: Path) -> None:
    block = b"".join(b"%15d\n" % number for number in range(1_000_000))
    async with open_log_desk(tmp_path) as desk:
        ask, served = await _commanded(desk)
        desk.append(b"first\n")
        await served.copied(b"first\n")
        with desk.log.open("ab") as held:  # somebody else keeps it open
            held.write(block)
            held.flush()
            desk.log.rename(tmp_path / "log.1")
            desk.append(b"last\n")
            await ask.reports.send(ended(ask))
            last = await served.next(Ended)

    assert served.spool.read_bytes() == b"first\n" + block + b"last\n"
    assert last.log_bytes == len(block) + 11
    assert not [report for report in served.told if isinstance(report, Missed)]


async def test_without_a_file_in_time_it_fails(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve(appear_within=0.05)
        await served.spawned()
        last = await served.next(Ended)

    why = f'logfile "{desk.log}": it did not appear within 50ms; correct the path, or raise appear_within'
    assert (last.reason, last.detail) == ("no-log", why)


async def test_without_a_file_in_time_the_command_is_stopped_and_fails(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        ask, served = await _commanded(desk, appear_within=0.05)
        stop = await desk.told()
        await ask.reports.send(ended(ask, None, signal="SIGTERM", reason="no-log"))
        last = await served.next(Ended)

    assert stop == Stop(attempt=served.request.attempt, grace=1.0, reason="no-log")
    assert last.reason == "no-log" and last.detail.endswith("correct the path, or raise appear_within")


async def test_a_command_that_ends_before_its_file_appears_says_itself_how_it_ended(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        ask, served = await _commanded(desk)
        await ask.reports.send(ended(ask, 0))
        last = await served.next(Ended)

    (missed,) = [report for report in served.told if isinstance(report, Missed)]
    assert missed.why == f'there was no "{desk.log}"'
    assert (last.reason, last.code, last.log_bytes) == ("exit", 0, 0)


async def test_what_appears_and_is_no_file_fails_at_once(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve()
        await served.spawned()
        desk.log.mkdir()
        last = await served.next(Ended)

    assert (last.reason, last.detail) == ("no-log", f'logfile "{desk.log}" is a folder; name a file')


async def test_a_file_that_may_not_be_read_in_time_fails_with_what_to_do() -> None:
    with as_nobody(), TemporaryDirectory() as folder:
        async with open_log_desk(Path(folder)) as desk:
            desk.log.touch(mode=0)
            served = await desk.serve(appear_within=0.05)
            await served.spawned()
            last = await served.next(Ended)

    assert last.reason == "no-log"
    assert last.detail == f'logfile "{desk.log}": Permission denied; make it readable for this user'


async def test_a_timeout_ends_a_file_without_a_command(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"text\n")
        served = await desk.serve(timeout=0.2)
        await served.spawned()
        last = await served.next(Ended)

    assert (last.reason, last.log_bytes) == ("timeout", 5)


@pytest.mark.parametrize("phase", ["absent", "quiet", "pouring", "rotated"])
async def test_a_stop_ends_it_in_every_phase(tmp_path: Path, phase: str) -> None:
    async with open_log_desk(tmp_path) as desk, trio.open_nursery() as nursery:
        if phase != "absent":
            desk.append(b"text\n")
        served = await desk.serve()
        await served.spawned()
        if phase != "absent":
            await served.followed()
        with (desk.log if phase != "absent" else tmp_path / "none").open("ab"):
            if phase == "pouring":
                nursery.start_soon(_pour, desk)
                await served.copied_more_than(100_000)
            elif phase == "rotated":
                desk.log.rename(tmp_path / "log.1")
                desk.append(b"new\n")
            await served.stop()
            last = await served.next(Ended)
        nursery.cancel_scope.cancel()

    copied = served.spool.read_bytes()
    assert (last.reason, last.log_bytes) == ("stop", len(copied))
    assert [type(report) for report in served.told] == [Stopping, Exited, Ended]
    expected = {"absent": b"", "quiet": b"text\n", "rotated": b"text\nnew\n"}
    assert copied == expected.get(phase, copied)


async def _pour(desk: LogDesk) -> None:
    while True:
        desk.append(b"x" * 4096)
        await trio.lowlevel.checkpoint()


async def test_a_stop_of_a_command_is_the_keepers_and_its_last_words_are_copied(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        ask, served = await _commanded(desk)
        desk.append(b"one\n")
        await served.stop()
        stop = await desk.told()
        await ask.reports.send(Stopping(attempt=served.request.attempt, reason="stop", grace=3.0))
        desk.append(b"last words\n")
        await ask.reports.send(ended(ask, None, signal="SIGTERM", reason="stop"))
        last = await served.next(Ended)

    assert isinstance(stop, Stop) and stop.grace == 3.0
    assert (last.reason, last.signal, last.log_bytes) == ("stop", "SIGTERM", 15)


async def test_a_full_disk_is_told_waited_for_and_a_stop_does_not_wait(tmp_path: Path) -> None:
    text = b"x" * 400_000
    with small_disk(tmp_path / "small", size="128k") as disk:
        (tmp_path / "spool").symlink_to(disk)
        async with open_log_desk(tmp_path) as desk:
            served = await desk.serve("a")
            await served.spawned()
            desk.append(text)
            blocked = await served.next(Blocked)
            await served.stop()
            missed = await served.next(Missed)
            last = await served.next(Ended)

            spooled = served.spool.stat().st_size
            assert (blocked.stream, blocked.error) == ("log", "No space left on device")
            assert (missed.offset, missed.lost) == (spooled, len(text) - spooled)
            assert missed.why == "the disk was full at the end: No space left on device"
            assert last.log_bytes == spooled


async def test_when_there_is_room_again_it_goes_on(tmp_path: Path) -> None:
    text = b"x" * 400_000
    with small_disk(tmp_path / "small", size="128k") as disk:
        (tmp_path / "spool").symlink_to(disk)
        async with open_log_desk(tmp_path) as desk:
            ask, served = await _commanded(desk)
            desk.append(text)
            await served.next(Blocked)
            await ask.reports.send(ended(ask))  # a full disk is waited for
            await trio.to_thread.run_sync(enlarge, disk)
            await served.next(Resumed)
            last = await served.next(Ended)

            assert last.log_bytes == len(text)
            assert served.spool.read_bytes() == text


async def test_when_nobody_wants_its_reports_any_more_it_ends(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"text\n")
        served = await desk.serve(appear_within=0.05, until="DONE")
        await served.spawned()
        await served.followed()
        await served.reports.aclose()
        desk.append(b"DONE\n")
        while _is_open(desk.log):  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.005)


def _is_open(path: Path) -> bool:
    return any(os.path.realpath(link) == os.fspath(path) for link in Path("/proc/self/fd").iterdir())
