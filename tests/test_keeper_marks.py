import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.keeper_process.marks import attempt_of, find_marked, in_exec, mark_of
from tests.process_trees import Trees, open_trees, wait_until

ROOT = Path(__file__).parent.parent


@pytest.fixture
def trees() -> Iterator[Trees]:
    with open_trees() as opened:
        yield opened


def test_the_mark_is_read_from_the_environment_of_the_start(trees: Trees) -> None:
    leader = trees.start("unset CALLBOARD_MARK; echo $$; read line", {"CALLBOARD_MARK": "fleet/one", "A": "b"})
    trees.read_pid(leader)

    assert mark_of(leader.process.pid) == "fleet/one"


def test_without_a_mark_there_is_none(trees: Trees) -> None:
    leader = trees.start("echo $$; read line", {"NOT_CALLBOARD_MARK": "fleet/one"})
    trees.read_pid(leader)

    assert mark_of(leader.process.pid) is None


def test_a_process_that_is_gone_has_no_mark() -> None:
    child = subprocess.Popen(["true"])
    child.wait()

    assert mark_of(child.pid) is None


@pytest.mark.parametrize(
    ("mark", "attempt"),
    [
        ("fleet/one", "one"),
        ("outer/x:fleet/one", "one"),
        ("fleet/one:inner/y", "one"),
        ("a/x:fleet/one:b/y", "one"),
        ("fleets/one", None),
        ("outer/fleet/one", None),
        ("outer/x", None),
        ("", None),
        ("fleet", None),
    ],
)
def test_a_fleet_finds_its_attempt_wherever_it_stands_in_the_chain(mark: str, attempt: str | None) -> None:
    assert attempt_of(mark, "fleet") == attempt


def test_the_marked_are_found_wherever_they_live(trees: Trees) -> None:
    fleet = f"f{os.getpid()}"
    plain = trees.start("echo $$; read line", {"CALLBOARD_MARK": f"{fleet}/one"})
    daemon = trees.start("(setsid sleep 600 & echo $!)", {"CALLBOARD_MARK": f"outer/x:{fleet}/two"})
    other = trees.start("echo $$; read line", {"CALLBOARD_MARK": "another/one"})
    pids = [trees.read_pid(leader) for leader in (plain, daemon, other)]
    os.waitpid(daemon.process.pid, 0)
    wait_until(lambda: trees.process(pids[1]).command == "sleep" and not in_exec(pids[1]))

    assert {process.pid for process in find_marked(f"{fleet}/")} == set(pids[:2])
    assert {process.pid for process in find_marked(f"{fleet}/one")} == {plain.process.pid}


def test_we_do_not_find_ourselves() -> None:
    fleet = f"s{os.getpid()}"
    script = f"from actors.keeper_process.marks import find_marked; print(find_marked('{fleet}/'))"

    found = subprocess.run(
        [sys.executable, "-c", script],
        env={"CALLBOARD_MARK": f"{fleet}/one", "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )

    assert found.stdout == b"[]\n"


def test_a_process_that_shows_neither_command_nor_environment_is_between_two_programs(trees: Trees) -> None:
    bare = trees.start("exec env -i sh -c 'echo $$; read line'")
    ended = trees.start("exit 0")
    trees.read_pid(bare)
    os.waitid(os.P_PID, ended.process.pid, os.WEXITED | os.WNOWAIT)

    assert not in_exec(bare.process.pid)
    assert in_exec(ended.process.pid)


def test_a_zombie_is_not_found(trees: Trees) -> None:
    fleet = f"z{os.getpid()}"
    leader = trees.start("exit 0", {"CALLBOARD_MARK": f"{fleet}/one"})
    wait_until(lambda: not trees.process(leader.process.pid).alive)

    assert find_marked(f"{fleet}/") == []
