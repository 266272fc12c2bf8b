import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from supervisor.locks import hold_lock, is_locked, lock_owner

HOLD = """
import sys
from pathlib import Path
from supervisor.locks import hold_lock
with hold_lock(Path(sys.argv[1])) as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def try_lock(path: Path) -> bool:
    with hold_lock(path, patience=10) as held:
        return held


def count_open(path: Path) -> int:
    return [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()].count(str(path))


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def hold_elsewhere(lock: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(lock)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_a_lock_is_held_while_its_context_lasts(lock: Path) -> None:
    assert not is_locked(lock)

    with hold_lock(lock) as held:
        assert held
        assert is_locked(lock)

    assert not is_locked(lock)


def test_a_second_owner_is_refused_and_does_not_disturb_the_first(lock: Path) -> None:
    with hold_lock(lock):
        owner = lock_owner(lock)
        with hold_lock(lock, patience=0.02) as second:
            assert not second

        assert is_locked(lock)
        assert lock_owner(lock) == owner


def test_the_lock_of_a_killed_process_is_free_at_once(lock: Path) -> None:
    with hold_elsewhere(lock) as process:
        assert is_locked(lock)
        assert lock_owner(lock) == process.pid
        process.kill()
        process.wait()

    assert not is_locked(lock)


def test_an_owner_waits_until_another_has_let_go(lock: Path) -> None:
    with hold_elsewhere(lock) as process:
        assert process.stdin is not None
        process.stdin.close()
        with hold_lock(lock, patience=10) as held:
            assert held


def test_probing_takes_the_lock_from_nobody(lock: Path) -> None:
    for _ in range(200):
        with hold_lock(lock) as held:
            assert held
            assert is_locked(lock)


def test_a_lock_file_is_private_whatever_the_umask(lock: Path) -> None:
    with hold_lock(lock):
        assert lock.stat().st_mode & 0o777 == 0o600


def test_a_lock_in_a_removed_folder_is_not_held(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    with ThreadPoolExecutor() as pool:
        with hold_lock(folder / "lock"):
            waiting = pool.submit(try_lock, folder / "lock")
            while count_open(folder / "lock") < 2:
                assert not waiting.done()
            folder.rename(tmp_path / "gone")

        assert not waiting.result()


@pytest.mark.parametrize("text", ["", "x", "-4", "1\n2", "\0"])
def test_a_lock_file_without_a_pid_names_nobody(lock: Path, text: str) -> None:
    lock.write_text(text)

    assert lock_owner(lock) is None


def test_a_lock_that_is_a_link_is_not_followed(lock: Path) -> None:
    lock.symlink_to(lock.with_name("elsewhere"))

    with pytest.raises(OSError, match="symbolic"), hold_lock(lock):
        pass
    assert not is_locked(lock)
