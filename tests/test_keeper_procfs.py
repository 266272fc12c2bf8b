import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_process.procfs import (
    DESCRIPTION_LIMIT,
    Process,
    describe,
    list_processes,
    parse_stat,
    read_process,
)
from tests.process_trees import wait_until

# The main thread ends alone (exit, system call 60 or 93), a second one lives on.
MAIN_THREAD_ENDS = """
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        wait_until(lambda: describe(_read(process.pid)).endswith("sleep 600"))
        yield process
        process.kill()


def _read(pid: int) -> Process:
    process = read_process(pid)
    assert process is not None
    return process


def _stat_line(command: bytes) -> bytes:
    fields = [b"S", b"10", b"20", b"30", *[b"%d" % number for number in range(5, 51)]]
    fields[17], fields[19] = b"3", b"987654321"
    return b"42 (" + command + b") " + b" ".join(fields) + b"\n"


@given(st.binary(max_size=64))
def test_a_stat_line_is_parsed_whatever_bytes_the_name_holds(command: bytes) -> None:
    process = parse_stat(_stat_line(command))

    assert process == Process(42, 10, 20, 30, 987654321, "S", 3, os.fsdecode(command), 12 + 13, 14 + 15, 22)


@given(st.binary(max_size=200))
def test_anything_else_is_parsed_or_refused_as_a_value_error(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_stat(line)


@pytest.mark.parametrize("line", [b"", b"42", b"42 (sh)", b"42 (sh) S 1 2", b"sh S 1 2"])
def test_a_cut_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="stat"):
        parse_stat(line)


def test_a_process_is_read_with_its_family_and_its_start(child: subprocess.Popen[bytes]) -> None:
    process = _read(child.pid)

    assert (process.ppid, process.pgrp, process.session) == (os.getpid(), child.pid, child.pid)
    assert process.command == "sleep"
    assert process.threads == 1
    assert process.start_ticks >= _read(os.getpid()).start_ticks


def test_a_name_with_parentheses_spaces_and_line_breaks_is_read_from_the_kernel() -> None:
    libc = ctypes.CDLL(None)
    before = Path("/proc/self/comm").read_bytes().rstrip(b"\n")
    libc.prctl(15, b") R 1\n(\xff ", 0, 0, 0)
    try:
        process = _read(os.getpid())
    finally:
        libc.prctl(15, before, 0, 0, 0)

    assert os.fsencode(process.command) == b") R 1\n(\xff "
    assert process.ppid == os.getppid()


def test_a_zombie_is_read_and_not_alive_and_gone_after_the_reap(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    zombie = _read(child.pid)

    assert zombie.state == "Z" and not zombie.alive
    child.wait()
    assert read_process(child.pid) is None


def test_a_process_whose_main_thread_has_ended_is_alive() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", MAIN_THREAD_ENDS]) as child:
        wait_until(lambda: _read(child.pid).state == "Z")
        process = _read(child.pid)
        child.kill()

    assert process.alive
    assert process.threads == 2


def test_the_list_of_all_processes_has_us_and_our_children(child: subprocess.Popen[bytes]) -> None:
    pids = {process.pid for process in list_processes()}

    assert {os.getpid(), child.pid} <= pids


def test_a_description_is_the_pid_and_the_command_line(child: subprocess.Popen[bytes]) -> None:
    assert describe(_read(child.pid)) == f"{child.pid} sleep 600"


def test_a_description_is_printable_and_bounded() -> None:
    with subprocess.Popen(["sh", "-c", "read line", "a\nb\x1b[31m", b"\xff" * 300], stdin=subprocess.PIPE) as child:
        wait_until(lambda: "read" in describe(_read(child.pid)))
        text = describe(_read(child.pid))

    assert text.startswith(f"{child.pid} sh -c read line a?b?[31m ???")
    assert len(text) == DESCRIPTION_LIMIT


def test_without_a_command_line_the_name_stands_in_brackets(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert describe(_read(child.pid)) == f"{child.pid} [sleep]"
