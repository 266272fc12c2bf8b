import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.pressure import Machine
from supervisor import doctor
from supervisor.doctor import examine
from supervisor.findings import Finding

MOUNT = "36 25 {major}:{minor} / /data rw,relatime shared:1 - {kind} server:/export rw\n"


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: finding.level for finding in findings}


def test_a_machine_on_which_our_tests_run_fails_nowhere(tmp_path: Path) -> None:
    findings = examine(tmp_path / ".callboard")

    assert "fail" not in levels(findings).values()
    assert levels(findings)["state folder"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ok_comes_with_advice(tmp_path: Path) -> None:
    assert all(finding.advice for finding in examine(tmp_path / "s") if finding.level != "ok")


def test_without_terminals_nothing_fails_but_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "openpty", none_left)
    [finding] = [each for each in examine(tmp_path / "s") if each.subject == "terminals"]

    assert finding.level == "warn" and 'source = "pty"' in finding.advice


def test_an_existing_state_folder_is_examined_itself_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o700)

    assert f"{tmp_path / 's'} is writable" in str(examine(tmp_path / "s"))
    assert list((tmp_path / "s").iterdir()) == []


def test_a_state_folder_that_cannot_be_used_fails(tmp_path: Path) -> None:
    (tmp_path / "s").symlink_to(tmp_path)

    [finding] = [each for each in examine(tmp_path / "s") if each.subject == "state folder"]

    assert finding.level == "fail" and "symbolic link" in finding.found


def test_a_folder_in_which_nothing_can_be_made_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    unprivileged = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    script = "from pathlib import Path; from supervisor.doctor import examine; print(examine(Path('{}/s')))"

    done = subprocess.run(
        [*unprivileged, sys.executable, "-c", script.format(tmp_path)], capture_output=True, text=True, check=True
    )

    assert "'state folder', level='fail', found=\"[Errno 13] Permission denied" in done.stdout


@pytest.mark.parametrize(
    ("kind", "level"), [("nfs4", "warn"), ("cifs", "warn"), ("fuse.sshfs", "warn"), ("ext4", "ok"), ("tmpfs", "ok")]
)
def test_network_file_systems_are_warned_of(tmp_path: Path, kind: str, level: str) -> None:
    device = tmp_path.stat().st_dev
    mounts = MOUNT.format(major=os.major(device), minor=os.minor(device), kind=kind)

    finding = doctor._file_system(tmp_path, mounts)

    assert finding.level == level and finding.found.startswith(kind)


def test_small_limits_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "max_user_instances").write_text("8\n")
    (tmp_path / "max_user_watches").write_text("100\n")
    (tmp_path / "pages").write_text("256\n")

    assert doctor._inotify(tmp_path).level == "warn"
    assert doctor._pipes(tmp_path / "pages", privileged=False).level == "warn"
    assert doctor._open_files(1024).level == "warn"
    assert doctor._processes(100).level == "warn"


def test_what_the_kernel_does_not_have_fails(tmp_path: Path) -> None:
    assert doctor._inotify(tmp_path / "none").level == "fail"
    assert doctor._children(tmp_path / "none").level == "fail"


def test_limits_that_do_not_bind_are_fine(tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("16384\n")

    assert doctor._pipes(tmp_path / "pages", privileged=False).level == "ok"
    assert doctor._pipes(tmp_path / "pages", privileged=True).level == "ok"
    assert doctor._pipes(tmp_path / "none", privileged=False).level == "ok"
    assert doctor._open_files(-1).level == doctor._processes(-1).level == "ok"


@pytest.mark.parametrize("size", ["100k", "100M"])
def test_a_disk_with_little_room_is_told(tmp_path: Path, size: str) -> None:
    script = f"""
        mount -t tmpfs -o size={size} none {tmp_path} || exit 77
        cd {Path.cwd()} && {sys.executable} -c '
import msgspec; from pathlib import Path; from supervisor.doctor import examine
print(msgspec.json.encode(examine(Path("{tmp_path}/s"))).decode())'
    """
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets us mount nothing")

    [finding] = [each for each in json.loads(done.stdout) if each["subject"] == "disk space"]
    assert finding["level"] == ("fail" if size == "100k" else "warn")


def test_what_starts_wait_for_is_told() -> None:
    pressed = doctor._room(Machine(free_memory=5_000_000_000, memory_pressure=12.4))

    assert pressed.found == "5.0 GB of memory free; programs wait for memory 12% of the time; see [admission]"
    assert "tells no pressure" in doctor._room(Machine()).found


def test_a_cgroup_is_a_convenience(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    mounts = f"36 25 0:28 / {tmp_path} rw - cgroup2 cgroup rw\n"

    assert doctor._cgroup("0::/\n", mounts) == Finding("cgroup", "ok", f"version 2, writable at {tmp_path}")
    assert "not writable" in doctor._cgroup("0::/other\n", mounts).found
    assert "no version 2" in doctor._cgroup("4:memory:/\n", "").found


def test_who_keeps_the_limits_of_memory_is_told() -> None:
    assert "four times a second" in doctor._memory_limits(None).found
    assert "cgroups in /sys/fs/cgroup/x" in doctor._memory_limits(Path("/sys/fs/cgroup/x")).found


def test_that_no_screen_can_be_read_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.doctor.can_read_screens", lambda: False)

    [finding] = [each for each in examine(tmp_path / "s") if each.subject == "screens"]

    assert finding.level == "ok"
    assert "everything else works" in finding.found and "callboard[term]" in finding.advice
