"""The source of log files: whom it serves itself, what it leaves to the keeper, and how it answers."""

import os
from pathlib import Path

import msgspec
import trio

from actors.orders import Answer, Ask, AskSpawn
from protocols.errors import SpawnError
from protocols.keeper import CloseStdin, Ended, Forget, Missed, Report, Resize, Spawned, Stop
from tests.log_desk import LogDesk, ended, open_log_desk
from tests.small_disk import small_disk
from tests.surroundings import start


async def test_a_file_without_a_command_is_followed_and_nothing_is_started(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"one\n")
        served = await desk.serve()
        spawned = await served.spawned()
        await served.copied(b"one\n")
        desk.append(b"two\n")
        await served.copied(b"one\ntwo\n")
        await served.stop()
        last = await served.next(Ended)

    assert spawned == Spawned(pid=0, start_ticks=0, at=5.0)
    assert (last.reason, last.code, last.signal, last.log_bytes) == ("stop", None, None, 8)
    assert [type(report).__name__ for report in served.told] == ["Stopping", "Exited", "Ended"]
    assert desk.keeper.statistics().current_buffer_used == 0


async def test_a_command_is_the_keepers_and_only_what_comes_after_its_start_is_its_log(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"old\n")
        served = await desk.serve(command=True)
        ask = await desk.spawns()
        assert (await served.spawned()).pid == 7
        desk.append(b"new\n")
        await ask.reports.send(ended(ask, 3, output=11))
        last = await served.next(Ended)

    assert ask.request == served.request
    assert last == msgspec.structs.replace(ended(ask, 3, output=11), log_bytes=4)
    assert served.spool.read_bytes() == b"new\n"


async def test_what_the_keeper_refuses_is_refused(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve(command=True)
        ask = await desk.keeper.receive()
        assert isinstance(ask, AskSpawn)
        error = SpawnError("no such command", "ENOENT")
        await ask.answer.send(Answer(error=error))

        assert (await served.answer()).error is error
        again = await desk.serve(command=True)
        await desk.spawns()
        assert (await again.spawned()).pid == 7
        await again.stop()
        await desk.told()


async def test_what_is_no_file_is_refused_and_nothing_is_started(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        os.mkfifo(desk.log)
        for command in (True, False):
            served = await desk.serve(command=command)
            error = (await served.answer()).error

            assert isinstance(error, SpawnError) and error.code == "EINVAL"
            assert str(error).endswith("is no file but a pipe, a socket or a device; name a file")
        assert desk.keeper.statistics().current_buffer_used == 0


async def test_a_full_disk_refuses_the_start_with_its_code(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", size="32k") as disk:
        async with open_log_desk(tmp_path) as desk:
            desk.append(b"text\n")
            (disk / "spool" / "a" / "1").mkdir(parents=True)
            (disk / "ballast").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096))
            (tmp_path / "spool").symlink_to(disk / "spool")
            served = await desk.serve()
            error = (await served.answer()).error

            assert isinstance(error, SpawnError) and error.code == "ENOSPC"


async def test_asked_again_it_gives_the_same_answer_and_reports_to_who_asked_last(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"text\n")
        first = await desk.serve()
        spawned = await first.spawned()
        await first.copied(b"text\n")

        second = await desk.serve()

        assert await second.spawned() == spawned
        await second.stop()
        assert (await second.next(Ended)).log_bytes == 5
        assert first.reports.statistics().current_buffer_used == 0
        third = await desk.serve()
        assert await third.spawned() == spawned
        await desk.asks.send(Ask(Forget(attempt=first.request.attempt)))


async def test_what_was_never_begun_cannot_be_resumed(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"text\n")
        served = await desk.serve(resume=True)
        error = (await served.answer()).error

        assert isinstance(error, SpawnError) and error.code == "unknown-attempt"
        assert not served.spool.exists()


async def test_a_resumed_file_is_followed_from_the_end_of_its_spool(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"one\n")
        served = await desk.serve()
        await served.copied(b"one\n")
        desk.append(b"two\n")

    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve(resume=True)
        await served.spawned()
        await served.copied(b"one\ntwo\n")
        await served.stop()
        await served.next(Ended)

    assert not [report for report in served.told if isinstance(report, Missed)]


async def test_a_file_that_was_replaced_before_it_was_resumed_is_a_gap(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        desk.append(b"one\n")
        served = await desk.serve()
        await served.copied(b"one\n")
    desk.log.rename(tmp_path / "log.1")
    desk.append(b"two\n")

    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve(resume=True)
        missed = await served.next(Missed)
        await served.copied(b"one\ntwo\n")

    assert (missed.stream, missed.offset, missed.lost) == ("log", 4, None)
    assert missed.why == f'"{desk.log}" was replaced while nobody followed it'


async def test_a_resumed_command_is_taken_up_by_the_keeper_or_refused(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve(command=True, resume=True)
        ask = await desk.keeper.receive()
        assert isinstance(ask, AskSpawn) and ask.request.resume
        await ask.answer.send(Answer(error=SpawnError("not known", "unknown-attempt")))
        error = (await served.answer()).error

    assert isinstance(error, SpawnError) and error.code == "unknown-attempt"


async def test_tasks_without_a_log_file_and_what_is_said_to_them_are_the_keepers(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        served = await desk.serve()
        await served.spawned()
        send, _ = trio.open_memory_channel[Answer](1)
        reports, _ = trio.open_memory_channel[Report](1)
        other = start("b", source="logfile")
        ask = AskSpawn(msgspec.structs.replace(served.request, attempt=other.id), send, reports, other)
        await desk.asks.send(ask)
        assert await desk.keeper.receive() is ask
        stop = Stop(attempt=other.id, grace=1.0, reason="stop")
        for request in (stop, Forget(attempt=other.id)):
            await desk.asks.send(Ask(request))
            assert await desk.told() == request
        await desk.asks.send(Ask(Resize(attempt=served.request.attempt, window=(80, 24))))
        await desk.asks.send(Ask(CloseStdin(attempt=served.request.attempt)))
        await served.stop()
        await served.next(Ended)
        assert desk.keeper.statistics().current_buffer_used == 0


async def test_each_of_many_that_name_one_file_has_all_of_it(tmp_path: Path) -> None:
    async with open_log_desk(tmp_path) as desk:
        os.link(_touch(desk), tmp_path / "other")
        names = "abcdefgh"
        paths = [desk.log if number % 2 else tmp_path / "other" for number in range(len(names))]
        served = [await desk.serve(name, path=path) for name, path in zip(names, paths, strict=True)]
        text = b""
        for number in range(50):
            desk.append(b"%d\n" % number)
            text += b"%d\n" % number
            await trio.lowlevel.checkpoint()

        for each in served:
            await each.copied(text)


def _touch(desk: LogDesk) -> Path:
    desk.log.touch()
    return desk.log
