import os
import subprocess
from collections.abc import Iterator

import pytest

from actors.keeper_process.marks import attempt_of, find_marked, mark_of
from tests.process_trees import Trees, open_trees, wait_until


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


def test_the_marked_are_found_wherever_they_live_but_not_ourselves(
    trees: Trees, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = f"f{os.getpid()}"
    plain = trees.start("echo $$; read line", {"CALLBOARD_MARK": f"{fleet}/one"})
    daemon = trees.start("(setsid sleep 600 & echo $!)", {"CALLBOARD_MARK": f"outer/x:{fleet}/two"})
    other = trees.start("echo $$; read line", {"CALLBOARD_MARK": "another/one"})
    pids = {trees.read_pid(leader) for leader in (plain, daemon, other)}
    os.waitid(os.P_PID, daemon.process.pid, os.WEXITED | os.WNOWAIT)

    found = {process.pid for process in find_marked(f"{fleet}/")}

    assert found == pids - {other.process.pid}
    assert {process.pid for process in find_marked(f"{fleet}/one")} == {plain.process.pid}


def test_a_zombie_is_not_found(trees: Trees) -> None:
    fleet = f"z{os.getpid()}"
    leader = trees.start("exit 0", {"CALLBOARD_MARK": f"{fleet}/one"})
    wait_until(lambda: not trees.process(leader.process.pid).alive)

    assert find_marked(f"{fleet}/") == []
