"""Workers that take more than they may, at the real keeper."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper_client import Client, running_keeper
from tests.process_trees import wait_until

# Takes 10 MB more each time, and touches it.
HOG = "import time\nheld = []\nwhile True:\n    held.append(b'x' * 10_000_000)\n    time.sleep(0.001)"
# Forks children that hold 30 MB each, while it stays small itself.
HOGS = """
import os, time
for number in range(10):
    if not os.fork():
        os.setsid()
        held = b'x' * 30_000_000
        time.sleep(600)
time.sleep(600)
"""
# Forks children that share 60 MB with it.
SHARING = """
import os, sys, time
held = b'x' * 60_000_000
for number in range(5):
    if not os.fork():
        time.sleep(600)
print('ready', flush=True)
time.sleep(600)
"""
BURNER = "while True: pass"
# Burns in children only, and waits for each.
BURNERS = """
import os, time
while True:
    if not os.fork():
        end = time.process_time() + 0.05
        while time.process_time() < end: pass
        os._exit(0)
    os.wait()
"""
FD_EATER = """
import os, resource
fds = []
try:
    while True: fds.append(os.open('/dev/null', os.O_RDONLY))
except OSError as error:
    print(error.errno, max(fds) + 1, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
FLOOD = "import sys\nwhile True: print('x' * 99)"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as started:
        yield started


def test_a_memory_hog_is_killed_and_the_reason_is_told_with_figures(client: Client) -> None:
    attempt = client.python(HOG, limits={"memory": 100_000_000})

    stopping, ended = client.report("stopping", attempt), client.report("ended", attempt)

    assert (ended["reason"], ended["signal"], stopping["grace"]) == ("memory", "SIGKILL", 0.0)
    assert ended["detail"] == stopping["detail"]
    assert ended["detail"].endswith("of memory, more than 100 MB")


def test_a_tree_of_hogs_is_one_worker(client: Client) -> None:
    attempt = client.python(HOGS, limits={"memory": 100_000_000})

    ended = client.report("ended", attempt)

    assert (ended["reason"], ended["signal"], ended["swept"]) == ("memory", "SIGKILL", [])


def test_memory_that_processes_share_counts_once(client: Client) -> None:
    attempt = client.python(SHARING, limits={"memory": 200_000_000, "cpu_time": 3600})
    client.wait_for_output(attempt, b"ready")

    with_limits = client.python(BURNER, limits={"cpu_time": 0.3})  # many looks later
    client.report("ended", with_limits)
    client.stop(attempt)

    assert client.report("ended", attempt)["reason"] == "stop"


@pytest.mark.parametrize("script", [BURNER, BURNERS], ids=["itself", "children"])
def test_who_burns_more_cpu_time_than_it_may_is_ended_by_the_ladder(client: Client, script: str) -> None:
    attempt = client.python(script, limits={"cpu_time": 0.2}, grace=5.0)

    stopping, ended = client.report("stopping", attempt), client.report("ended", attempt)

    assert (stopping["reason"], stopping["grace"]) == ("cpu-time", 5.0)
    assert (ended["reason"], ended["signal"]) == ("cpu-time", "SIGTERM")
    assert "of CPU time, more than 0.2 s" in ended["detail"]


def test_limits_hold_without_a_supervisor(client: Client) -> None:
    hog = client.python(
        f"import time; print('begun', flush=True); time.sleep(0.1)\n{HOG}",
        attached=False,
        limits={"memory": 100_000_000},
    )
    client.wait_for_output(hog, b"begun")

    client.close()

    status = client.keeper.folder / f"{hog}.status"
    wait_until(lambda: '"state":"ended"' in status.read_text())
    assert '"reason":"memory"' in status.read_text()


def test_who_opens_more_files_than_it_may_gets_an_error(client: Client) -> None:
    attempt = client.python(FD_EATER, limits={"open_files": 40})

    client.report("ended", attempt)

    assert client.stdout(attempt).split() == [b"24", b"40", b"40", b"40"]


def test_more_files_than_the_hard_limit_are_refused_with_what_to_do(client: Client) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    refusal = client.refusal(client.spawn_request("/bin/true", limits={"open_files": hard + 1}))

    assert refusal["message"].endswith("lower it, or raise 'ulimit -Hn'")


def test_a_nice_worker_is_nice_from_its_first_instruction_on_with_all_that_it_starts(client: Client) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    nice = client.shell("sh -c nice; nice", limits={"nice": own + 3})
    usual = client.shell("nice")

    client.report("ended", nice)
    client.report("ended", usual)

    assert client.stdout(nice).split() == [str(own + 3).encode()] * 2
    assert client.stdout(usual).split() == [str(own).encode()]


def test_a_command_that_cannot_start_nicely_is_refused_as_any_other(client: Client) -> None:
    refusal = client.refusal(client.spawn_request("/no/such/command", limits={"nice": 3}))

    assert refusal["code"] == "ENOENT"


def test_a_flooder_waits_at_its_limit_until_it_is_stopped_and_nothing_is_lost(client: Client) -> None:
    attempt = client.python(FLOOD, limits={"spool_limit": 1_000_000})

    blocked = client.report("blocked", attempt)
    size = len(client.stdout(attempt))
    client.stop(attempt, grace=10.0)
    ended = client.report("ended", attempt)

    assert (blocked["error"], blocked["retried"]) == ("its spool_limit of 1 MB is reached", False)
    assert size == 1_000_000
    assert (ended["reason"], ended["signal"]) == ("stop", "SIGTERM")
    assert size < ended["stdout_bytes"] == len(client.stdout(attempt)) <= size + 1024 * 1024
    assert set(client.stdout(attempt).split(b"\n")[:-1]) == {b"x" * 99}


def test_a_flooder_that_is_to_fail_at_its_limit_is_ended_with_that_reason(client: Client) -> None:
    attempt = client.python(FLOOD, limits={"spool_limit": 1_000_000, "at_spool_limit": "fail"}, grace=10.0)

    stopping, ended = client.report("stopping", attempt), client.report("ended", attempt)

    assert (stopping["reason"], stopping["grace"]) == ("spool-limit", 10.0)
    assert (ended["reason"], ended["signal"]) == ("spool-limit", "SIGTERM")
    assert ended["detail"] == "its spool_limit of 1 MB is reached"


def test_who_printed_more_than_its_limit_and_exits_comes_to_its_end(client: Client) -> None:
    attempt = client.python("print('x' * 1999)", limits={"spool_limit": 1000})

    ended = client.report("ended", attempt)

    assert (ended["reason"], ended["code"], ended["stdout_bytes"]) == ("exit", 0, 2000)


def test_who_waits_at_its_limit_is_told_to_the_next_supervisor_too(client: Client) -> None:
    attempt = client.python(FLOOD, limits={"spool_limit": 1_000_000}, attached=False)
    client.report("blocked", attempt)

    later = client.keeper.connect(generation=2)

    assert later.report("blocked", attempt)["retried"] is False
    later.stop(attempt)
    later.report("ended", attempt)
    later.close()
