"""What is seen of real processes and of real spool files."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from actors.inspection import Inspector
from protocols.evidence import Mark
from protocols.ids import WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from protocols.markers import Markers
from protocols.sight import Sight, Tail, Wanted
from tests.process_trees import Leader, Trees, open_trees, wait_until

A = WorkerId("a")
MARKERS = Markers((("testing", b"PASS "), ("reading", b"Read ")))


@pytest.fixture
def trees() -> Iterator[Trees]:
    with open_trees() as opened:
        yield opened


@pytest.fixture
async def inspector(tmp_path: Path) -> AsyncIterator[Inspector]:
    with closing(Inspector(FleetFolder(tmp_path), {A: MARKERS})) as made:
        yield made


def wanted(leader: Leader | None = None, *, attempt: int = 1, tail: Tail | None = None) -> Wanted:
    process = None if leader is None else (leader.process.pid, leader.process.start_ticks)
    return Wanted(A, attempt, "pipe", process, tail)


async def see(inspector: Inspector, what: Wanted) -> Sight:
    (sight,), _ = await inspector.look([what], None)
    return sight


async def see_until_sight(inspector: Inspector, what: Wanted, expected: str, value: object) -> Sight:
    """Look until it is so; the test has its deadline."""
    while True:
        sight = await see(inspector, what)
        if getattr(sight, expected) == value:
            return sight
        await trio.lowlevel.checkpoint()


def write(inspector: Inspector, text: bytes, *, attempt: int = 1, stream: Stream = "stdout") -> Path:
    path = inspector.folder.spool(A, attempt, stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(text)
    return path


def more(inspector: Inspector, text: bytes, *, alone: bool = True, attempt: int = 1) -> Wanted:
    """The worker has written this, and the look comes after it."""
    path = inspector.folder.spool(A, attempt, "stdout")
    since = path.stat().st_size if path.exists() else 0
    end = write(inspector, text, attempt=attempt).stat().st_size
    return wanted(attempt=attempt, tail=Tail("stdout", since, end, end, alone))


async def test_a_worker_that_waits_lives_alone_and_uses_no_time(inspector: Inspector, trees: Trees) -> None:
    leader = trees.start("read line")

    sight = await see(inspector, wanted(leader))

    assert sight._replace(cpu=0.0) == Sight()
    assert sight.cpu is not None
    assert sight.cpu < 1


async def test_the_time_of_a_busy_child_counts(inspector: Inspector, trees: Trees) -> None:
    leader = trees.start("(while :; do :; done) & wait")
    await see_until_sight(inspector, wanted(leader), "descendants", 1)

    while (sight := await see(inspector, wanted(leader))).cpu in (None, 0.0):
        await trio.lowlevel.checkpoint()

    assert sight.cpu is not None
    assert sight.cpu > 0
    assert not sight.partial


async def test_a_child_that_nobody_waited_for_is_a_zombie(inspector: Inspector, trees: Trees) -> None:
    leader = trees.start("sh -c 'sleep 0.01 & exec sleep 600'")

    sight = await see_until_sight(inspector, wanted(leader), "zombies", 1)

    assert sight.alive


async def test_a_leader_that_ended_is_gone_and_its_children_are_still_told(inspector: Inspector, trees: Trees) -> None:
    leader = trees.start("sleep 600 & read line")
    await see_until_sight(inspector, wanted(leader), "descendants", 1)

    trees.end_leader(leader)
    sight = await see(inspector, wanted(leader))

    assert (sight.alive, sight.descendants) == (False, 1)


async def test_who_has_no_process_yet_is_not_called_gone(inspector: Inspector) -> None:
    assert await see(inspector, wanted()) == Sight()


async def test_a_process_that_only_has_the_same_pid_is_another_one(inspector: Inspector, trees: Trees) -> None:
    leader = trees.start("read line")
    process = leader.process._replace(start_ticks=leader.process.start_ticks - 1)

    assert not (await see(inspector, wanted(leader._replace(process=process)))).alive


async def test_a_keeper_that_is_stopped_reads_nothing_and_one_that_goes_on_does(
    inspector: Inspector, trees: Trees
) -> None:
    keeper = trees.start("read line").process.pid

    async def reads() -> bool:
        return (await inspector.look([], keeper))[1]

    first = await reads()
    os.kill(keeper, signal.SIGSTOP)
    wait_until(lambda: trees.process(keeper).state == "T")
    stopped = await reads()
    os.kill(keeper, signal.SIGCONT)
    wait_until(lambda: trees.process(keeper).state != "T")

    assert (first, stopped, await reads()) == (True, False, True)
    assert (await inspector.look([], None))[1]


async def test_sights_come_in_the_order_of_those_that_were_asked_for(inspector: Inspector, trees: Trees) -> None:
    leader = trees.start("read line")
    names = [WorkerId(name) for name in "cab"]
    process = leader.process.pid, leader.process.start_ticks
    asked = [Wanted(name, 1, "pipe", process if name == "a" else None, None) for name in names]

    sights, _ = await inspector.look(asked, None)

    assert [sight.cpu is not None for sight in sights] == [True] * 3
    assert sights[0] == sights[2] == Sight()


async def test_all_bytes_on_disk_are_counted_and_the_mark_is_the_last_one_before_the_end(inspector: Inspector) -> None:
    write(inspector, b"oops\n", stream="stderr")
    write(inspector, b"Read a\nPASS b\nRead c\n")

    tail = Tail("stdout", 0, len(b"Read a\nPASS b\n"), 19, False)
    sight = await see(inspector, wanted(tail=tail))

    assert (sight.spooled, sight.mark) == (26, Mark("testing", "PASS "))


async def test_a_question_at_the_end_is_seen_and_its_answer_too(inspector: Inspector) -> None:
    first = await see(inspector, more(inspector, b"hello\nProceed? [y/n] "))
    second = await see(inspector, more(inspector, b"y\n"))

    assert (first.asks, second.asks) == ("Proceed? [y/n]", None)


async def test_only_what_was_shown_before_is_nothing_new(inspector: Inspector) -> None:
    spins = b"\r| Thinking\r/ Thinking"

    seen = [
        (await see(inspector, more(inspector, text))).new
        for text in (b"hello\n" + spins, spins, spins * 300, b"x" + spins, spins, b"\rdone\n")
    ]

    assert seen == [True, False, False, True, False, True]


async def test_a_flood_or_output_on_two_streams_or_of_another_attempt_is_new_in_doubt(inspector: Inspector) -> None:
    spins = b"\r| Thinking\r/ Thinking"
    await see(inspector, more(inspector, spins))

    flood = await see(inspector, more(inspector, spins * 4000))
    after = await see(inspector, more(inspector, spins))
    later = await see(inspector, more(inspector, spins))
    two = await see(inspector, more(inspector, spins, alone=False))
    other = await see(inspector, more(inspector, spins, attempt=2))

    assert [sight.new for sight in (flood, after, later, two, other)] == [True, True, False, True, True]


async def test_a_spool_that_is_no_file_or_is_gone_shows_nothing_and_holds_up_nobody(inspector: Inspector) -> None:
    path = write(inspector, b"PASS \n")
    tail = Tail("stdout", 0, 6, 6, False)

    path.unlink()
    gone = await see(inspector, wanted(tail=tail))
    os.mkfifo(path)
    fifo = await see(inspector, wanted(tail=tail))
    path.unlink()
    path.symlink_to("/etc/passwd")
    link = await see(inspector, wanted(tail=tail))

    assert [(sight.mark, sight.new) for sight in (gone, fifo, link)] == [(None, True)] * 3


async def test_a_worker_without_markers_has_no_mark(inspector: Inspector) -> None:
    (sight,), _ = await inspector.look([Wanted(WorkerId("b"), 1, "pipe", None, Tail("stdout", 0, 0, 0, False))], None)

    assert sight.mark is None


async def test_a_closed_one_keeps_no_descriptor(tmp_path: Path, trees: Trees) -> None:
    leader = trees.start("read line")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count

    with closing(Inspector(FleetFolder(tmp_path), {})) as inspector:
        await see(inspector, wanted(leader))
        await see(inspector, wanted(leader))
        during = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count

    assert during > before
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count
