"""What the live display reads of spool files: only what is new, within a budget, whatever becomes of the files."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from actors.live.blocks import WorkerText
from actors.live.spools import SpoolReader, Wanted
from protocols.board import OutputRange
from protocols.ids import TaskId, WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from protocols.redaction import Redactor
from protocols.tail import TAIL

MB = 1024 * 1024
NOTHING = WorkerText()


class Clock:
    """Stands still, or goes on by ``step`` seconds each time somebody looks at it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Worker:
    """An attempt whose output is written by the test; what was recorded of it is all of it."""

    def __init__(self, folder: FleetFolder, name: str = "w", attempt: int = 1) -> None:
        self.task = TaskId(name)
        self.attempt = attempt
        self.folder = folder.attempt(WorkerId(name), attempt)
        self.folder.mkdir(parents=True)
        self.sizes: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self.ranges: list[OutputRange] = []

    def print(self, data: bytes, stream: Stream = "stdout") -> None:
        with (self.folder / stream).open("ab") as file:
            file.write(data)
        self.recorded(len(data), stream)

    def recorded(self, length: int, stream: Stream = "stdout") -> None:
        start = self.sizes[stream]
        self.sizes[stream] += length
        self.ranges.append(OutputRange(stream, start, start + length))

    def wanted(self, lines: int = 4, columns: int = 80) -> Wanted:
        return Wanted(self.task, self.attempt, tuple(self.ranges), dict(self.sizes), lines, columns)


@pytest.fixture
def folder(tmp_path: Path) -> FleetFolder:
    return FleetFolder(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(folder: FleetFolder, clock: Clock) -> SpoolReader:
    return SpoolReader(folder, clock=clock, patience=20)


async def read_one(reader: SpoolReader, wanted: Wanted) -> WorkerText:
    return (await reader.read([wanted]))[wanted.task]


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The spool files that are opened meanwhile, by worker and stream."""
    names: list[str] = []
    real = os.open

    def note(path: str, *arguments: int) -> int:
        names.append("/".join(Path(path).parts[-3::2]))
        return real(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr("actors.live.spools.os.open", note)
        yield names


@contextmanager
def hanging_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Whoever reads a file waits until the given function is called."""
    answers = threading.Event()
    real = os.pread

    def late(fd: int, length: int, offset: int) -> bytes:
        answers.wait()
        return real(fd, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr("actors.live.spools.os.pread", late)
        try:
            yield answers.set
        finally:
            answers.set()


async def thread_ended(reader: SpoolReader) -> None:
    async with reader._limiter:
        pass


async def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a thread was used")


async def test_the_last_lines_of_both_streams_and_how_many_there_are(folder: FleetFolder, reader: SpoolReader) -> None:
    worker = Worker(folder)
    worker.print(b"one\ntwo\nthr")
    worker.print(b"oh\n", "stderr")
    worker.print(b"ee\nfo")

    text = await read_one(reader, worker.wanted(lines=3))

    assert text == WorkerText(("oh", "three", "fo"), (5, True))


async def test_secrets_are_masked_also_one_that_is_not_written_yet_and_one_in_front_of_what_is_read(
    folder: FleetFolder, clock: Clock
) -> None:
    reader = SpoolReader(folder, clock=clock, patience=20, redactor=Redactor.of_values([("S", "token-of-mine")]))
    worker = Worker(folder)
    worker.print(b"token-of-mine" + b"x" * (TAIL - 7) + b"\ntoken-of-mine.\nnow token-o")

    text = await read_one(reader, worker.wanted(lines=3))

    assert text.lines[1:] == ("***S***" + 6 * "*" + ".", "now " + 7 * "*")
    assert "mine" not in text.lines[0]


async def test_nothing_beyond_the_records_is_read(folder: FleetFolder, reader: SpoolReader) -> None:
    worker = Worker(folder)
    worker.print(b"told\n")
    with (worker.folder / "stdout").open("ab") as file:
        file.write(b"not told yet\n" * 1000)

    assert await read_one(reader, worker.wanted()) == WorkerText(("told",), (1, True))


async def test_many_workers_are_read_at_once_each_its_own(folder: FleetFolder, reader: SpoolReader) -> None:
    workers = [Worker(folder, f"w{number}") for number in range(40)]
    for number, worker in enumerate(workers):
        worker.print(b"line\n" * number + b"last of %d\n" % number)

    texts = await reader.read([worker.wanted(lines=1) for worker in workers])

    assert texts == {
        worker.task: WorkerText((f"last of {number}",), (number + 1, True)) for number, worker in enumerate(workers)
    }


async def test_what_is_not_new_is_not_read_again_and_needs_no_thread(
    folder: FleetFolder, reader: SpoolReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Worker(folder, "one"), Worker(folder, "two")
    one.print(b"a\n")
    two.print(b"b\n")
    first = await reader.read([one.wanted(), two.wanted()])

    with monkeypatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", refuse)
        clock.now += 10
        again = await reader.read([one.wanted(), two.wanted()])
    two.print(b"c\n")
    with opened(monkeypatch) as names:
        third = await reader.read([one.wanted(), two.wanted()])

    assert again == first
    assert third == {"one": WorkerText(("a",), (1, True)), "two": WorkerText(("b", "c"), (2, True))}
    assert set(names) == {"two/stdout"}


async def test_a_call_without_a_thread_can_be_cancelled_too(reader: SpoolReader) -> None:
    with trio.CancelScope() as scope:
        scope.cancel(reason="of the test")
        await reader.read([])

    assert scope.cancelled_caught


async def test_of_what_is_not_counted_at_all_no_number_is_told(folder: FleetFolder, reader: SpoolReader) -> None:
    worker = Worker(folder)
    begun = await read_one(reader, worker.wanted(lines=0))
    worker.print(b"a\n")

    assert begun.count == (0, True)
    assert (await read_one(reader, worker.wanted(lines=0))).count is None


async def test_what_is_read_for_its_last_lines_is_counted_at_once(folder: FleetFolder, reader: SpoolReader) -> None:
    worker = Worker(folder)
    await read_one(reader, worker.wanted())

    worker.print(b"a\nb\n")

    assert (await read_one(reader, worker.wanted())).count == (2, True)


async def test_without_lines_only_new_bytes_are_counted_and_only_each_half_second(
    folder: FleetFolder, reader: SpoolReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(folder)
    worker.print(b"a\n")
    first = await read_one(reader, worker.wanted(lines=0))
    worker.print(b"b\n")

    clock.now += 0.4
    with opened(monkeypatch) as names:
        soon = await read_one(reader, worker.wanted(lines=0))
    clock.now += 0.2
    later = await read_one(reader, worker.wanted(lines=0))
    settled = reader.unsettled
    clock.now += 1
    at_rest = await read_one(reader, worker.wanted(lines=0))

    assert (first.count, soon.count, later.count, at_rest.count) == ((1, True), (2, False), (2, False), (2, True))
    assert settled and not reader.unsettled
    assert names == []


async def test_other_rows_or_columns_are_read_for(folder: FleetFolder, reader: SpoolReader) -> None:
    worker = Worker(folder)
    worker.print(b"a\nb\n" + b"c" * 100 + b"\n")

    few = await read_one(reader, worker.wanted(lines=2, columns=10))
    wide = await read_one(reader, worker.wanted(lines=3, columns=200))
    none = await read_one(reader, worker.wanted(lines=0))

    assert few.lines == ("b", "c" * 30)
    assert wide.lines == ("a", "b", "c" * 100)
    assert none.lines == ()


async def test_a_new_attempt_begins_with_nothing(folder: FleetFolder, reader: SpoolReader, clock: Clock) -> None:
    first = Worker(folder)
    first.print(b"a\nb\n")
    await read_one(reader, first.wanted())
    second = Worker(folder, attempt=2)

    begun = await read_one(reader, second.wanted())
    second.print(b"c\n")
    clock.now += 1

    assert begun == WorkerText((), (0, True))
    assert await read_one(reader, second.wanted()) == WorkerText(("c",), (1, True))


async def test_a_worker_that_was_not_shown_for_a_while_is_counted_on(
    folder: FleetFolder, reader: SpoolReader, clock: Clock
) -> None:
    worker = Worker(folder)
    worker.print(b"a\n" * 100)
    await read_one(reader, worker.wanted())
    await reader.read([])
    (worker.folder / "stdout").write_bytes(bytes(200))  # what was counted is not read again
    worker.print(b"b\n" * 5)
    clock.now += 1

    assert (await read_one(reader, worker.wanted(lines=1))).count == (105, True)


async def test_more_than_the_budget_allows_is_estimated_until_it_is_counted(
    folder: FleetFolder, reader: SpoolReader, clock: Clock
) -> None:
    worker = Worker(folder)
    worker.print(b"a line of 20 bytes.\n" * 52_000)
    clock.step = 0.004

    first = (await read_one(reader, worker.wanted(lines=0))).count
    clock.now += 1
    second = (await read_one(reader, worker.wanted(lines=0))).count

    assert first == (52_000, False)
    assert second == (52_000, True)


async def test_one_that_pours_starves_nobody_within_a_round(
    folder: FleetFolder, reader: SpoolReader, clock: Clock
) -> None:
    workers = [Worker(folder, name) for name in ("pouring", "a", "b")]
    workers[0].print((b"x" * 63 + b"\n") * (4 * MB // 64))
    workers[1].print(b"one\n")
    workers[2].print(b"two\n")
    clock.step = 0.003

    texts = await reader.read([worker.wanted(lines=0) for worker in workers])

    assert [texts[worker.task].count for worker in workers] == [(66_000, False), (1, True), (1, True)]


async def test_those_that_were_not_reached_in_a_round_come_first_in_the_next(
    folder: FleetFolder, reader: SpoolReader, clock: Clock
) -> None:
    workers = [Worker(folder, f"w{number}") for number in range(5)]
    for worker in workers:
        worker.print((b"x" * 63 + b"\n") * (MB // 64))
    clock.step = 1.0  # time for one chunk in each round
    wanted = [worker.wanted(lines=0) for worker in workers]

    counted = []
    for _ in workers:
        texts = await reader.read(wanted)
        counted.append(sum(text.count is not None for text in texts.values()))

    assert counted == [1, 2, 3, 4, 5]


async def test_an_exact_number_becomes_an_estimate_when_counting_falls_behind(
    folder: FleetFolder, reader: SpoolReader, clock: Clock
) -> None:
    slow, other = Worker(folder, "slow"), Worker(folder, "other")
    slow.print(b"line\n" * 100)
    await reader.read([slow.wanted(lines=0), other.wanted(lines=0)])
    other.print(b"line\n")
    slow.print(b"line\n" * 100)
    clock.step = 1.0

    texts = await reader.read([slow.wanted(lines=0), other.wanted(lines=0)])

    assert {texts[slow.task].count, texts[other.task].count} in ({(200, True), None}, {(200, False), (1, True)})


async def test_a_file_that_is_not_there_has_no_lines_and_is_not_looked_for_again(
    folder: FleetFolder, reader: SpoolReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(folder)
    worker.recorded(100)
    text = await read_one(reader, worker.wanted())
    clock.now += 1

    with opened(monkeypatch) as names:
        again = await read_one(reader, worker.wanted())

    assert text == again == NOTHING
    assert names == []


async def test_a_file_that_was_cut_keeps_its_number_and_shows_no_wrong_lines(
    folder: FleetFolder, reader: SpoolReader, clock: Clock
) -> None:
    worker = Worker(folder)
    worker.print(b"line\n" * 1000)
    await read_one(reader, worker.wanted())
    (worker.folder / "stdout").write_bytes(b"line\n" * 10)
    worker.recorded(5)
    clock.now += 1

    assert await read_one(reader, worker.wanted()) == WorkerText((), (1000, False))


async def test_a_file_that_grows_after_it_was_missing_is_counted(
    folder: FleetFolder, reader: SpoolReader, clock: Clock
) -> None:
    worker = Worker(folder)
    worker.recorded(5)
    await read_one(reader, worker.wanted())
    (worker.folder / "stdout").write_bytes(b"late\n")
    worker.print(b"more\n")
    clock.now += 1

    assert await read_one(reader, worker.wanted()) == WorkerText(("late", "more"), (2, True))


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "nothing"])
async def test_what_is_no_regular_file_of_ours_is_not_read(folder: FleetFolder, reader: SpoolReader, kind: str) -> None:
    worker = Worker(folder)
    worker.recorded(5)
    spool = worker.folder / "stdout"
    match kind:
        case "fifo":
            os.mkfifo(spool)
        case "folder":
            spool.mkdir()
        case "link":
            (worker.folder / "elsewhere").write_bytes(b"line\n")
            spool.symlink_to("elsewhere")
        case _:
            worker.folder.rmdir()

    text = await read_one(reader, worker.wanted())

    assert text == NOTHING
    assert reader._limiter.available_tokens == 1  # it does not hang there either


async def test_sizes_and_names_that_no_file_can_have_do_no_harm(folder: FleetFolder, reader: SpoolReader) -> None:
    worker = Worker(folder)
    worker.print(b"a\n")
    ranges = (OutputRange("stdout", 2**70, 2**70 + 1), OutputRange("stderr", -9, -3))
    sizes: dict[Stream, int] = {"stdout": 2**70, "stderr": -3}
    wild = Wanted(worker.task, 1, ranges, sizes, 4, 1)

    texts = await reader.read([wild, wild._replace(task=TaskId("a\0b"))])

    assert texts[TaskId("a\0b")] == NOTHING
    assert texts[worker.task].lines == ()


async def test_a_disk_that_hangs_holds_up_no_picture_and_what_it_says_later_is_shown(
    folder: FleetFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = SpoolReader(folder, clock=clock, patience=0.01)
    worker = Worker(folder)
    worker.print(b"a\n")
    before = await read_one(reader, worker.wanted())
    worker.print(b"b\n")

    with hanging_disk(monkeypatch) as answer:
        clock.now += 1
        hung = [await read_one(reader, worker.wanted())]
        with monkeypatch.context() as patch:
            patch.setattr(trio.to_thread, "run_sync", refuse)  # one that waits is enough
            hung += [await read_one(reader, worker.wanted()) for _ in range(2)]
        answer()
        await thread_ended(reader)
        text = await read_one(reader, worker.wanted())

    assert before == WorkerText(("a",), (1, True))
    assert [text.lines for text in hung] == [("a",)] * 3
    assert text.lines == ("a", "b")


async def test_while_a_disk_hangs_a_number_is_an_estimate(
    folder: FleetFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = SpoolReader(folder, clock=clock, patience=0.01)
    worker = Worker(folder)
    worker.print(b"line\n" * 10)
    await read_one(reader, worker.wanted())

    with hanging_disk(monkeypatch):
        worker.print(b"line\n" * 10)
        clock.now += 1
        hung = await read_one(reader, worker.wanted(lines=0))

    assert hung.count == (20, False)


async def test_a_call_that_hangs_can_be_cancelled_and_loses_nothing(
    folder: FleetFolder, reader: SpoolReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(folder)
    worker.print(b"a\n")

    with hanging_disk(monkeypatch) as answer:
        with trio.move_on_after(0.01) as scope:
            await read_one(reader, worker.wanted())
        answer()
        await thread_ended(reader)
        with monkeypatch.context() as patch:
            patch.setattr(trio.to_thread, "run_sync", refuse)
            text = await read_one(reader, worker.wanted())

    assert scope.cancelled_caught
    assert text == WorkerText(("a",), (1, True))


async def test_no_file_stays_open(folder: FleetFolder, reader: SpoolReader, clock: Clock) -> None:
    worker = Worker(folder)
    worker.print(b"a\n", "stderr")
    await read_one(reader, worker.wanted())
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the kernel's own list

    for _ in range(5):
        worker.print(b"a\n")
        clock.now += 1
        await read_one(reader, worker.wanted())

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_of_a_file_that_was_cut_nothing_that_was_read_before_is_kept(
    folder: FleetFolder, reader: SpoolReader
) -> None:
    worker = Worker(folder)
    worker.print(b"1\n2\n3\n")
    await read_one(reader, worker.wanted())

    (worker.folder / "stdout").write_bytes(b"")
    worker.sizes["stdout"], worker.ranges = 0, []
    worker.print(b"new and longer\n")

    assert await read_one(reader, worker.wanted()._replace(cuts=1)) == WorkerText(("new and longer",), (1, True))
