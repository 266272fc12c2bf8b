import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from protocols.errors import InputError, StateError
from protocols.layout import FleetFolder
from supervisor.fleets import Fleet, create_fleet, find_fleet, find_fleets
from supervisor.locks import hold_lock
from supervisor.machine import boot_id, pid_namespace
from supervisor.state import open_state

CREATE = """
import sys
from pathlib import Path
from supervisor.fleets import create_fleet
with create_fleet(Path(sys.argv[1]), plan="plan.toml", cwd="/work", version="1.2") as fleet:
    print(fleet.identity.run, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


def add_fleet(state: Path, at: float = 100.0) -> Fleet:
    with create_fleet(state, plan="plan.toml", cwd="/work", version="1.2", now=lambda: at) as fleet:
        return Fleet(fleet.folder, fleet.identity, "", at)


def start_elsewhere(state: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CREATE, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def rename(fleet: Fleet, name: str) -> Fleet:
    """The same fleet under an id of our choice."""
    assert fleet.identity is not None
    identity = msgspec.structs.replace(fleet.identity, run=name)
    fleet.folder.identity.write_bytes(msgspec.json.encode(identity))
    root = fleet.folder.root.rename(fleet.folder.root.with_name(name))
    return Fleet(FleetFolder(root), identity, "", fleet.started_at)


def test_a_fleet_is_made_whole_private_and_alive(state: Path) -> None:
    with create_fleet(state, plan="plan.toml", cwd="/work", version="1.2", now=lambda: 100.0) as fleet:
        [found] = find_fleets(state)

        assert found.is_alive()
        assert found.owner() == os.getpid()

    identity = fleet.identity
    assert found == Fleet(fleet.folder, identity, "", 100.0)
    assert re.fullmatch("[0-9a-f]{32}", identity.fleet) and re.fullmatch("[a-z2-7]{8}", identity.run)
    assert (identity.plan, identity.cwd, identity.version) == ("plan.toml", "/work", "1.2")
    assert (identity.pid, identity.boot_id, identity.pid_namespace) == (os.getpid(), boot_id(), pid_namespace())
    assert fleet.folder.root == state / identity.run
    assert fleet.folder.root.stat().st_mode & 0o7777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in fleet.folder.root.iterdir()} == {
        "fleet.json": 0o600,
        "lock": 0o600,
    }


def test_a_fleet_stays_when_its_supervisor_is_gone_and_is_dead_then(state: Path) -> None:
    process, name = start_elsewhere(state)
    with process:
        found = find_fleet(state, name)
        assert found.is_alive() and found.process_lives()
        process.kill()

    assert find_fleet(state, name) == found
    assert not found.is_alive()
    assert found.process_lives() is False
    assert found.owner() is None


def test_a_fleet_that_another_callboard_concludes_is_not_alive(state: Path) -> None:
    process, name = start_elsewhere(state)
    process.communicate()
    fleet = find_fleet(state, name)

    with hold_lock(fleet.folder.lock):
        assert not fleet.is_alive()
        assert fleet.owner() == os.getpid()


def test_where_the_process_cannot_be_seen_the_lock_decides(state: Path) -> None:
    fleet = add_fleet(state)
    assert fleet.identity is not None
    far = Fleet(fleet.folder, msgspec.structs.replace(fleet.identity, pid_namespace=1), "", 100.0)

    assert far.process_lives() is None
    assert not far.is_alive()
    with hold_lock(fleet.folder.lock):
        assert far.is_alive()


def test_a_process_that_got_the_pid_later_is_another_one(state: Path) -> None:
    fleet = add_fleet(state)
    assert fleet.identity is not None
    reused = msgspec.structs.replace(fleet.identity, start_ticks=fleet.identity.start_ticks - 1)

    assert Fleet(fleet.folder, reused, "", 100.0).process_lives() is False


def test_a_copy_of_a_fleet_is_not_the_original(state: Path) -> None:
    fleet = add_fleet(state)
    copy = state.parent / "copy"
    subprocess.run(["cp", "-a", state, copy], check=True)

    [copied] = find_fleets(copy)

    assert fleet.is_original()
    assert copied.identity == fleet.identity
    assert not copied.is_original()


def test_the_keeper_of_a_dead_fleet_may_live_on(state: Path) -> None:
    fleet = add_fleet(state)

    assert not fleet.keeper_lives()
    with hold_lock(fleet.folder.keeper_lock):
        assert fleet.keeper_lives()
        assert not fleet.is_alive()


def test_paths_that_are_no_text_are_shown_as_good_as_can_be(state: Path) -> None:
    plan = os.fsdecode(b"caf\xe9.toml")

    with create_fleet(state, plan=plan, cwd="/w\u00f6rk", version="1") as fleet:
        assert (fleet.identity.plan, fleet.identity.cwd) == ("caf\ufffd.toml", "/w\u00f6rk")
        assert find_fleets(state)[0].identity == fleet.identity


def test_fleets_that_come_and_go_while_we_look_are_there_or_not(state: Path) -> None:
    fleet = add_fleet(state)

    def come_and_go() -> None:
        for _ in range(200):
            fleet.folder.root.rename(state / ".hidden")
            (state / ".hidden").rename(fleet.folder.root)

    with ThreadPoolExecutor() as pool:
        moving = pool.submit(come_and_go)
        while not moving.done():
            assert [each.problem for each in find_fleets(state)] in ([], [""], ["fleet.json is missing"])
        moving.result()


def test_nothing_is_left_of_a_fleet_that_could_not_be_made(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "taken").mkdir()
    (state / "taken" / "file").touch()
    monkeypatch.setattr("supervisor.identity.b32encode", lambda _: b"TAKEN")

    with (
        pytest.raises(StateError, match="Directory not empty"),
        create_fleet(state, plan="", cwd="", version=""),
    ):
        pass
    assert sorted(path.name for path in state.iterdir()) == [".gitignore", "taken"]


def test_fleets_are_listed_the_latest_first(state: Path) -> None:
    names = [add_fleet(state, at).name for at in (100.0, 300.0, 200.0)]

    assert [fleet.name for fleet in find_fleets(state)] == [names[1], names[2], names[0]]


def test_no_state_folder_means_no_fleets(tmp_path: Path) -> None:
    assert find_fleets(tmp_path / "none") == []


def test_files_and_hidden_folders_are_no_fleets(state: Path) -> None:
    (state / "notes.txt").touch()
    (state / ".new-1234").mkdir()

    assert find_fleets(state) == []


def garble(text: bytes) -> Callable[[FleetFolder], object]:
    return lambda folder: folder.identity.write_bytes(text)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (garble(b""), "fleet.json: Input data was truncated"),
        (garble(b"\xff\xfe\x00"), "fleet.json: JSON is malformed"),
        (garble(b'{"fleet":"\xff"}'), "fleet.json: 'utf-8' codec"),
        (garble(b'{"x":' + b"[" * 100_000), "fleet.json: maximum recursion depth"),
        (garble(b'{"fleet":"","run":"aaaaaaaa"}'), "fleet.json: Expected `str` matching regex"),
        (lambda folder: folder.identity.unlink(), "fleet.json is missing"),
        (lambda folder: (folder.identity.unlink(), folder.identity.mkdir()), "fleet.json: Is a directory"),
    ],
)
def test_a_damaged_fleet_is_listed_with_what_is_wrong(
    state: Path, damage: Callable[[FleetFolder], object], problem: str
) -> None:
    fleet = add_fleet(state)
    damage(fleet.folder)

    [found] = find_fleets(state)

    assert found.name == fleet.name
    assert found.identity is None
    assert found.problem.startswith(problem)
    assert not found.is_alive()
    assert not found.is_original()


def test_a_fleet_under_a_foreign_name_is_damaged(state: Path) -> None:
    fleet = add_fleet(state)
    fleet.folder.root.rename(state / "renamedx")

    [found] = find_fleets(state)

    assert (found.identity, found.problem) == (None, f"fleet.json is that of {fleet.name}")


def test_a_link_to_a_fleet_is_not_followed(state: Path, tmp_path: Path) -> None:
    fleet = add_fleet(state)
    fleet.folder.root.rename(tmp_path / fleet.name)
    (state / fleet.name).symlink_to(tmp_path / fleet.name)

    [found] = find_fleets(state)

    assert (found.identity, found.problem) == (None, "a link, not a folder")


def test_a_prefix_finds_the_only_fleet_that_begins_so(state: Path) -> None:
    rename(add_fleet(state, 1.0), "abcdaaaa")
    wanted = rename(add_fleet(state, 2.0), "abxxxxxx")
    rename(add_fleet(state, 3.0), "zzzzzzzz")

    assert find_fleet(state, "abx") == wanted
    assert find_fleet(state, "ABX") == wanted
    assert find_fleet(state, "abxxxxxx") == wanted


def test_without_a_prefix_the_latest_is_meant(state: Path) -> None:
    rename(add_fleet(state, 1.0), "zzzzzzzz")
    latest = rename(add_fleet(state, 2.0), "aaaaaaaa")

    assert find_fleet(state, None) == latest


def test_an_ambiguous_prefix_names_the_candidates(state: Path) -> None:
    rename(add_fleet(state, 1.0), "abcdaaaa")
    rename(add_fleet(state, 2.0), "abxxxxxx")

    with pytest.raises(InputError, match="more than one begins so: abxxxxxx, abcdaaaa; write more of its id"):
        find_fleet(state, "ab")


def test_an_unknown_id_says_what_there_is(state: Path) -> None:
    names = [add_fleet(state, float(at)).name for at in range(10)]

    with pytest.raises(InputError, match=f"there are: {names[9]}, {names[8]}, .* and 2 more"):
        find_fleet(state, "0")


def test_where_nothing_ran_the_error_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no runs here; start one with: callboard run PLAN.toml"):
        find_fleet(tmp_path / ".callboard", None)
