"""When the machine has room for more workers: the gate as a table and as a state machine."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.pressure import Gate, Limits, Machine, Room

_MB = 1_000_000
_LIMITS = Limits(min_free_memory=512 * _MB, max_memory_pressure=40.0, max_cpu_pressure=80.0)


def _machine(free: int = 9000, memory: float = 0.0, cpu: float = 0.0) -> Machine:
    return Machine(free_memory=free * _MB, memory_pressure=memory, cpu_pressure=cpu)


@pytest.mark.parametrize(
    ("machine", "room"),
    [
        (_machine(), Room()),
        (Machine(), Room()),
        (_machine(1025), Room()),
        (_machine(1000), Room(1, "one by one", "1.0 GB of memory free: one start at a time")),
        (_machine(212), Room(0, "memory", "waits: 212 MB of memory free, 512 MB wanted")),
        (
            _machine(memory=63.4),
            Room(0, "memory pressure", "waits: programs wait for memory 63% of the time, 40% allowed"),
        ),
        (_machine(cpu=95.0), Room(0, "cpu pressure", "waits: programs wait for a CPU 95% of the time, 80% allowed")),
    ],
)
def test_what_is_seen_of_the_machine_decides(machine: Machine, room: Room) -> None:
    assert Gate(_LIMITS).judge(machine) == room


def test_a_limit_of_zero_is_none() -> None:
    assert Limits.none().off and not Limits().off
    assert Gate(Limits.none()).judge(_machine(0, 100.0, 100.0)) == Room()


def test_a_busy_machine_with_memory_is_no_reason_to_wait_unless_somebody_says_so() -> None:
    assert Gate(Limits()).judge(_machine(600, 5.0, 100.0)) == Room()


def test_who_waits_goes_on_only_when_there_is_clearly_more_room() -> None:
    gate = Gate(_LIMITS)

    kinds = [gate.judge(_machine(free)).kind for free in (511, 513, 600, 641, 513, 511, 1025)]

    assert kinds == ["memory", "memory", "memory", "one by one", "one by one", "memory", ""]


def test_pressure_has_to_fall_clearly_too() -> None:
    gate = Gate(_LIMITS)

    kinds = [gate.judge(_machine(memory=memory)).kind for memory in (40.0, 41.0, 39.0, 33.0, 31.0, 39.0)]

    assert kinds == ["", "memory pressure", "memory pressure", "memory pressure", "", ""]


@given(st.lists(st.builds(_machine, st.integers(0, 1300), st.floats(0, 100), st.floats(0, 100)), max_size=20))
def test_nobody_starts_beyond_a_limit_and_all_start_where_there_is_plenty(seen: list[Machine]) -> None:
    gate = Gate(_LIMITS)

    for machine in seen:
        room = gate.judge(machine)
        free, memory, cpu = machine.free_memory or 0, machine.memory_pressure or 0, machine.cpu_pressure or 0
        if free < 512 * _MB or memory > 40 or cpu > 80:
            assert room.starts == 0
        if free >= 1024 * _MB and memory <= 32 and cpu <= 64:
            assert room.starts == math.inf
        assert bool(room.kind) == bool(room.reason) == (room.starts < math.inf)
