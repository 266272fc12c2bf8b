import os
import threading
from collections.abc import Iterator

import pytest

from actors.keeper_process import ancestry
from actors.keeper_process.ancestry import children_of, descendants, walk
from tests.process_trees import Trees, open_trees, wait_until

NO_SUCH_PID = 2**22 + 1


@pytest.fixture
def trees() -> Iterator[Trees]:
    with open_trees() as opened:
        yield opened


@pytest.fixture(params=["children files", "scan"], autouse=True)
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "scan":
        monkeypatch.setattr(ancestry, "HAS_CHILDREN_FILES", False)


def test_children_and_grandchildren_are_descendants_parents_first(trees: Trees) -> None:
    leader = trees.start("sh -c 'echo $$; sleep 600 & echo $!; wait' & wait")
    child, grandchild = trees.read_pid(leader), trees.read_pid(leader)

    assert children_of(leader.process.pid) == [child]
    assert [process.pid for process in descendants(leader.process.pid)] == [child, grandchild]


def test_each_process_comes_with_the_parent_under_which_it_was_found(trees: Trees) -> None:
    leader = trees.start("sleep 600 & echo $!; read line")
    child = trees.read_pid(leader)

    found, settled = walk([os.getpid()])

    assert settled
    assert [(parent, process.pid) for parent, process in found] == [
        (os.getpid(), leader.process.pid),
        (leader.process.pid, child),
    ]


def test_a_child_in_another_session_is_a_descendant(trees: Trees) -> None:
    leader = trees.start("setsid sleep 600 & echo $!; read line")
    child = trees.read_pid(leader)
    wait_until(lambda: trees.process(child).session == child)

    assert [process.pid for process in descendants(leader.process.pid)] == [child]


def test_a_double_forked_daemon_is_found_below_the_subreaper(trees: Trees) -> None:
    leader = trees.start("(setsid sleep 600 & echo $!); read line")
    daemon = trees.read_pid(leader)
    wait_until(lambda: trees.process(daemon).ppid == os.getpid())

    living = {process.pid for process in descendants(os.getpid()) if process.alive}
    assert living == {leader.process.pid, daemon}


def test_a_zombie_is_listed(trees: Trees) -> None:
    leader = trees.start("exit 0")
    os.waitid(os.P_PID, leader.process.pid, os.WEXITED | os.WNOWAIT)

    assert [process.alive for process in descendants(os.getpid())] == [False]


def test_children_of_every_thread_are_listed(trees: Trees) -> None:
    begun, done = threading.Event(), threading.Event()

    def fork() -> None:
        trees.start("read line")
        begun.set()
        done.wait()

    thread = threading.Thread(target=fork)
    thread.start()
    begun.wait()
    trees.start("read line")
    found = children_of(os.getpid())
    done.set()
    thread.join()

    assert len(found) == 2


def test_more_children_than_one_page_of_the_file_holds_are_all_listed(trees: Trees) -> None:
    leader = trees.start("i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done; echo $$; read line")
    trees.read_pid(leader)

    assert len(children_of(leader.process.pid)) == 1000


def test_nobody_descends_from_a_process_that_is_not_there() -> None:
    assert children_of(NO_SUCH_PID) == []
    assert descendants(NO_SUCH_PID) == []
