from pathlib import Path

from supervisor.machine import boot_id, pid_namespace


def test_processes_of_one_boot_and_namespace_agree() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip() != ""
    assert f"pid:[{pid_namespace()}]" == str(Path("/proc/self/ns/pid").readlink())
