"""Cgroups for workers. The kernel's files are played by plain ones: few machines delegate a real tree."""

import os
from pathlib import Path

import pytest

from actors.keeper_process import launch as launching
from actors.keeper_process.attempt import Attempt, Exit
from actors.keeper_process.cgroups import Box, find_place, open_box
from actors.keeper_process.requests import Terms
from actors.keeper_process.status import StatusFile
from actors.keeper_process.worker_limits import Limits

OWN = "12:memory:/other\n0::/app.slice/callboard.scope\n"
MEMORY = 200_000_000.0


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """A tree in which ``app.slice`` is ours, with a controller for memory."""
    place = tmp_path / "app.slice"
    (place / "callboard.scope").mkdir(parents=True)
    (place / "cgroup.controllers").write_text("cpu memory pids\n")
    (place / "cgroup.subtree_control").write_text("cpu\n")
    (place / "cgroup.procs").touch()
    return tmp_path


@pytest.fixture
def place(mount: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("actors.keeper_process.cgroups._is_delegated", lambda _: True)
    found = find_place(OWN, mounts(mount))
    assert found is not None
    return found


def mounts(mount: Path, root: str = "/") -> str:
    return f"30 25 0:26 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"


def attempt_in(folder: Path, place: Path) -> Attempt:
    limits = Limits(memory=MEMORY)
    terms = Terms("a1", {"stdout": b"/o", "stderr": b"/e"}, b"/s", True, 60.0, 1.0, 1.0, limits)
    status = StatusFile(os.fsencode(folder / "status"))
    attempt = Attempt(terms, os.getpid(), 1, at=0.0, now=0.0, boot_id="b", status=status)
    attempt.box = open_box(place, "a1", MEMORY)
    return attempt


def test_the_place_is_the_parent_of_our_own_one(mount: Path, place: Path) -> None:
    assert place == mount / "app.slice"


def test_there_is_none_without_a_tree_a_controller_or_a_delegation(mount: Path) -> None:
    delegated = mount / "app.slice"

    assert find_place("4:memory:/\n", mounts(mount)) is None
    assert find_place("0::/\n", mounts(mount)) is None
    assert find_place(OWN, mounts(mount, root="/part")) is None
    assert find_place(OWN, "") is None
    if os.geteuid() == 0:  # who may write everywhere was given nothing
        assert find_place(OWN, mounts(mount)) is None
    (delegated / "cgroup.controllers").write_text("cpu\n")
    assert find_place(OWN, mounts(mount)) is None


def test_a_worker_is_put_into_a_box_with_its_limit_and_all_of_it_is_killed_at_once(place: Path) -> None:
    box = open_box(place, "a1", MEMORY)
    assert box is not None
    box.put(4711)

    folder = place / "callboard-a1"
    written = {file.name: file.read_text() for file in folder.iterdir()}
    assert written == {
        "memory.max": "200000000",
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "cgroup.procs": "4711",
    }
    assert (place / "cgroup.subtree_control").read_text() == "+memory"


def test_where_the_kernel_refuses_there_is_no_box_and_nothing_is_left(place: Path) -> None:
    (place / "cgroup.subtree_control").unlink()

    assert open_box(place, "a1", MEMORY) is None
    assert not (place / "callboard-a1").exists()


def test_who_was_killed_by_the_kernel_for_its_memory_ends_with_that_reason(tmp_path: Path, place: Path) -> None:
    attempt = attempt_in(tmp_path, place)
    (place / "callboard-a1" / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 3\n")

    attempt.leader_exited(Exit(None, "SIGKILL", 1.0))

    report = attempt.ended_report()
    assert (report["reason"], report["detail"]) == ("memory", "its processes used more memory than 200 MB")
    attempt.close()


def test_who_stayed_below_ends_as_usual_and_its_box_is_taken_away(tmp_path: Path, place: Path) -> None:
    attempt = attempt_in(tmp_path, place)
    folder = place / "callboard-a1"
    (folder / "memory.events").write_text("oom_kill 0\n")

    attempt.leader_exited(Exit(0, None, 1.0))
    for file in folder.iterdir():  # the kernel's own files do not hold it
        file.unlink()
    attempt.close()

    assert attempt.ended_report()["reason"] == "exit"
    assert not folder.exists()
    assert not Box(folder).burst()


def test_only_a_worker_with_a_limit_gets_a_box(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "our_place", lambda: place)
    with_limit = attempt_in(tmp_path, place)
    with_limit.box = None
    without = attempt_in(tmp_path, place)
    without.box, without.limits = None, Limits()

    for attempt in (with_limit, without):
        launching._box(attempt)

    assert (with_limit.box is None, without.box is None) == (False, True)
    assert (place / "callboard-a1" / "cgroup.procs").read_text() == str(os.getpid())
    with_limit.close()
    without.close()
