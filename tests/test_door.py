"""What is read of a machine, and how often; how many start then."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.door import Door, read_machine
from protocols.ids import TaskId
from protocols.pressure import Limits, Machine
from tests.made_machines import make_group, make_machine

_MB = 1024 * 1024
_LIMITS = Limits(min_free_memory=512 * _MB)


def _groups(root: Path, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_free_memory_and_pressure_are_read(tmp_path: Path) -> None:
    make_machine(tmp_path, free=212 * _MB, memory=1.25, cpu=39.23)

    assert read_machine(tmp_path) == Machine(free_memory=212 * _MB, memory_pressure=1.25, cpu_pressure=39.23)


def test_this_machine_tells_its_free_memory() -> None:
    free = read_machine().free_memory

    assert free is not None and free > _MB


def test_what_a_kernel_does_not_tell_is_unknown(tmp_path: Path) -> None:
    assert read_machine(tmp_path) == Machine()


def test_a_control_group_that_allows_less_counts_and_gives_its_cache_back(tmp_path: Path) -> None:
    make_machine(tmp_path, free=8000 * _MB)
    _groups(tmp_path, "0::/user.slice/job.scope")
    top = tmp_path / "sys/fs/cgroup"
    make_group(top / "user.slice/job.scope", limit=1000 * _MB, usage=900 * _MB, cache=300 * _MB)

    assert read_machine(tmp_path).free_memory == 400 * _MB


def test_a_group_around_ours_counts_too(tmp_path: Path) -> None:
    make_machine(tmp_path, free=8000 * _MB)
    _groups(tmp_path, "0::/user.slice/job.scope")
    top = tmp_path / "sys/fs/cgroup"
    make_group(top / "user.slice/job.scope", limit="max", usage=90 * _MB)
    make_group(top / "user.slice", limit=600 * _MB, usage=500 * _MB)

    assert read_machine(tmp_path).free_memory == 100 * _MB


def test_in_a_container_the_top_is_our_group(tmp_path: Path) -> None:
    make_machine(tmp_path, free=8000 * _MB)
    _groups(tmp_path, "4:cpu,memory:/docker/0123", "0::/../elsewhere")
    make_group(tmp_path / "sys/fs/cgroup/memory", limit=600 * _MB, usage=500 * _MB, cache=10 * _MB, version=1)

    assert read_machine(tmp_path).free_memory == 110 * _MB


def test_a_group_that_uses_more_than_it_may_leaves_nothing(tmp_path: Path) -> None:
    _groups(tmp_path, "0::/")
    make_group(tmp_path / "sys/fs/cgroup", limit=600 * _MB, usage=700 * _MB)

    assert read_machine(tmp_path).free_memory == 0


@given(content=st.binary() | st.from_regex(rb"(some avg10=|MemAvailable: *|0::/|[0-9. kB/\n:])*", fullmatch=True))
def test_no_content_of_a_file_is_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "odd"
    for name in ("proc/meminfo", "proc/pressure/memory", "proc/pressure/cpu", "proc/self/cgroup"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    for name in ("memory.max", "memory.current", "memory.stat"):
        (root / "sys/fs/cgroup").mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_bytes(content)

    read_machine(root)


@dataclass
class Eyes:
    """What they see, and how often somebody looked."""

    machine: Machine
    looks: int = 0

    def __call__(self) -> Machine:
        self.looks += 1
        return self.machine


def _tasks(count: int) -> list[TaskId]:
    return [TaskId(f"t{number}") for number in range(count)]


@dataclass
class Queue:
    """So many slots, and who waits for one, by name."""

    door: Door
    slots: int
    running: list[TaskId] = field(default_factory=list)
    waiting: list[TaskId] = field(default_factory=list)

    def admit(self, *tasks: TaskId) -> tuple[list[TaskId], dict[TaskId, str]]:
        most = self.door.room(len(self.running))
        self.waiting = sorted([*self.waiting, *tasks])
        found = self.waiting[: self.slots - len(self.running)]
        started = [task for index, task in enumerate(found) if index < most]
        self.running += started
        self.waiting = [task for task in self.waiting if task not in started]
        return started, self.door.admitted(started, found[len(started) :])


async def test_a_machine_with_room_is_looked_at_ten_times_a_second_at_most(autojump_clock: MockClock) -> None:
    eyes = Eyes(Machine(free_memory=8000 * _MB))
    queue = Queue(Door(_LIMITS, eyes), 9)

    assert [queue.admit(task) for task in _tasks(8)] == [([task], {}) for task in _tasks(8)]
    await trio.sleep(0.1)
    queue.admit()

    assert (eyes.looks, queue.door.wake_at) == (2, math.inf)


async def test_a_machine_without_room_lets_one_run_and_is_looked_at_each_second(autojump_clock: MockClock) -> None:
    eyes = Eyes(Machine(free_memory=100 * _MB))
    queue = Queue(Door(_LIMITS, eyes), 3)
    first, *others = _tasks(3)

    reason = "waits: 105 MB of memory free, 537 MB wanted"
    assert queue.admit(*_tasks(3)) == ([first], dict.fromkeys(others, reason))
    assert queue.door.wake_at == trio.current_time() + 1
    eyes.machine = Machine(free_memory=8000 * _MB)
    assert queue.admit() == ([], {})
    await trio.sleep_until(queue.door.wake_at)

    assert queue.admit() == (others, {})
    assert (eyes.looks, queue.door.wake_at) == (2, math.inf)


async def test_where_there_is_little_room_one_starts_for_each_look(autojump_clock: MockClock) -> None:
    queue = Queue(Door(_LIMITS, Eyes(Machine(free_memory=600 * _MB))), 3)
    first, second, third = _tasks(3)

    reason = "629 MB of memory free: one start at a time"
    assert queue.admit(first, second, third) == ([first], {second: reason, third: reason})
    assert queue.admit() == ([], {})
    await trio.sleep_until(queue.door.wake_at)

    assert queue.admit() == ([second], {})


async def test_who_loses_its_slot_to_another_one_waits_no_longer_for_the_machine(autojump_clock: MockClock) -> None:
    queue = Queue(Door(_LIMITS, Eyes(Machine(free_memory=0))), 2)
    first, second, third = _tasks(3)
    queue.admit(second, third)
    reason = "waits: 0 B of memory free, 537 MB wanted"

    assert queue.admit(first) == ([], {first: reason, third: ""})


async def test_nobody_looks_where_every_limit_is_off(autojump_clock: MockClock) -> None:
    eyes = Eyes(Machine(free_memory=0))

    assert Queue(Door(Limits.none(), eyes), 9).admit(*_tasks(9)) == (_tasks(9), {})
    assert eyes.looks == 0
