"""Who follows a log file is woken when it grows and when something gets its name; each of those is counted."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actors.sources.log_watch import LogWatch, Waker
from protocols.errors import WatchError

_LONG = 3600.0


@asynccontextmanager
async def _watching() -> AsyncIterator[LogWatch]:
    watch = LogWatch()
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        yield watch
        nursery.cancel_scope.cancel()


async def _appeared(waker: Waker, count: int) -> None:
    while waker.appeared < count:
        await waker.wait(_LONG)


async def test_a_file_that_grows_wakes_all_who_follow_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    async with _watching() as watch:
        wakers = [Waker(str(path)) for _ in range(2)]
        with path.open("rb") as file:
            for waker in wakers:
                watch.watch_file(file.fileno(), waker)
        path.write_bytes(b"text")

        for waker in wakers:
            await waker.wait(_LONG)


@pytest.mark.parametrize(
    "get", [lambda path: path.touch(), lambda path: path.with_name("other").rename(path)], ids=["create", "rename"]
)
async def test_each_file_that_gets_the_name_is_counted(tmp_path: Path, get: Callable[[Path], None]) -> None:
    path = tmp_path / "log"
    async with _watching() as watch:
        waker, stranger = Waker(str(path)), Waker(str(tmp_path / "else"))
        watch.watch_name(waker)
        watch.watch_name(stranger)
        for number in range(3):
            (tmp_path / "other").touch()
            get(path)
            path.rename(tmp_path / f"log.{number}")

        await _appeared(waker, 3)
        assert (waker.appeared, stranger.appeared) == (3, 0)


async def test_a_folder_that_is_not_there_yet_is_watched_when_it_is(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    async with _watching() as watch:
        waker = Waker(str(path))
        watch.watch_name(waker)
        path.parent.mkdir()
        watch.watch_name(waker)
        path.touch()
        await _appeared(waker, 1)

        path.unlink()
        path.parent.rmdir()
        while waker.folder is not None:
            await waker.wait(_LONG)


async def test_who_is_forgotten_leaves_no_watch(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    async with _watching() as watch:
        wakers = [Waker(str(path)) for _ in range(2)]
        for waker in wakers:
            watch.watch_name(waker)
            with path.open("rb") as file:
                watch.watch_file(file.fileno(), waker)

        watch.forget(wakers[0])
        path.write_bytes(b"text")
        await wakers[1].wait(_LONG)
        watch.forget(wakers[1])

        assert not watch._names and not watch._growing


async def test_without_inotify_it_is_logged_and_nobody_is_woken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise WatchError("inotify: no more")

    monkeypatch.setattr("actors.sources.log_watch.Inotify", refuse)
    (tmp_path / "log").touch()
    async with _watching() as watch:
        waker = Waker(str(tmp_path / "log"))
        watch.watch_name(waker)
        watch.watch_file(0, waker)
        await waker.wait(0.01)
        watch.forget(waker)

    assert "inotify: no more; until then log files are looked at once a second" in caplog.text
