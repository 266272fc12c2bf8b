import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.errors import StateError
from supervisor.state import check_state, open_state
from tests.users import UNPRIVILEGED

OPEN = "import sys; from pathlib import Path; from supervisor.state import open_state; open_state(Path(sys.argv[1]))"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".callboard"


def test_a_state_folder_is_made_private_and_hidden_from_git(state: Path) -> None:
    assert open_state(state) == state

    assert state.stat().st_mode & 0o7777 == 0o700
    assert {path.name: path.read_text() for path in state.iterdir()} == {".gitignore": "*\n"}


def test_opening_it_again_changes_nothing(state: Path) -> None:
    open_state(state)
    (state / ".gitignore").write_text("mine\n")

    assert open_state(state) == state
    assert (state / ".gitignore").read_text() == "mine\n"


def test_a_relative_path_becomes_absolute(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(state.parent)

    assert open_state(Path(".callboard")) == state


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_umask_does_not_matter(state: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        open_state(state)
    finally:
        os.umask(before)

    assert state.stat().st_mode & 0o7777 == 0o700
    assert (state / ".gitignore").stat().st_mode & 0o7777 == 0o600


def test_checking_makes_nothing(state: Path) -> None:
    assert check_state(state) is None
    assert not state.exists()


def test_a_symbolic_link_is_refused(state: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    state.symlink_to("elsewhere")

    with pytest.raises(StateError, match="symbolic link; name the folder"):
        open_state(state)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_dangling_link_is_refused(state: Path) -> None:
    state.symlink_to("nowhere")

    with pytest.raises(StateError, match="symbolic link"):
        check_state(state)


def test_a_file_is_refused_and_kept(state: Path) -> None:
    state.write_text("precious")

    with pytest.raises(StateError, match="not a folder; move that file away"):
        open_state(state)
    assert state.read_text() == "precious"


def test_a_folder_of_another_user_is_refused(state: Path) -> None:
    foreign = Path("/")
    if os.geteuid() == 0:
        state.mkdir()
        os.chown(state, 12345, 12345)
        foreign = state

    with pytest.raises(StateError, match=r"belongs to user .* not to you"):
        open_state(foreign)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_in_which_others_can_write_is_refused(state: Path, mode: int) -> None:
    state.mkdir()
    state.chmod(mode)

    with pytest.raises(StateError, match=r"other users can write .* run: chmod go-w"):
        open_state(state)


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory; create the folder it is to lie in"):
        open_state(tmp_path / "no" / "where")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_parent_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    error = open_unprivileged(tmp_path / ".callboard")

    assert "StateError" in error and "Permission denied; make it writable for you" in error
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_refused(state: Path) -> None:
    state.mkdir(mode=0o500)

    assert "the state folder is not writable" in open_unprivileged(state)


def test_a_full_disk_is_named_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    script = f"""
        mount -t tmpfs -o size=4k none {tmp_path} && cd {tmp_path} && head -c 4096 /dev/zero > full || exit 77
        PYTHONPATH={Path.cwd()} {sys.executable} -c '{OPEN}' .callboard
        ls -A
    """
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets us mount nothing")

    assert ".callboard: No space left on device; free some space" in done.stderr
    assert done.stdout == "full\n"


def open_unprivileged(path: Path) -> str:
    command = [*UNPRIVILEGED, sys.executable, "-c", OPEN, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("name", ["src", "README.md", ".git"])
def test_a_folder_that_holds_other_things_is_refused_and_stays_as_it_is(state: Path, name: str) -> None:
    (state / name).mkdir(parents=True)
    state.chmod(0o700)

    with pytest.raises(StateError, match="holds other things than runs; name one that is empty or not there yet"):
        open_state(state)

    assert [path.name for path in state.iterdir()] == [name]
