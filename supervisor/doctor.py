"""Examining a machine: has it what callboard needs, and if not, what helps."""

import fcntl
import os
import platform
import re
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from actors.door import read_machine
from actors.journal_file import open_journal, read_records
from actors.keeper_process.cgroups import our_place
from actors.keeper_process.procfs import read_process
from actors.screens import can_read_screens
from protocols.errors import FleetError, JournalError, StateError
from protocols.fleet_events import FleetSwept
from protocols.pressure import Machine
from protocols.sizes import format_bytes
from supervisor.findings import Finding, Level
from supervisor.fleets import Fleet, find_fleets, tell_detached
from supervisor.left_spaces import list_spaces
from supervisor.locks import lock_owner
from supervisor.programs import find_programs
from supervisor.standing import tell_stopped
from supervisor.state import check_state, open_state
from supervisor.sweep import find_end
from supervisor.terminal_view import INSTALL_TERM

__all__ = ["examine"]

_PYTHON = (3, 11)
_KERNEL = (5, 10)
_OPEN_FILES = 4096  # a worker takes about six, and some need thousands for themselves
_PROCESSES = 1024
_INSTANCES = 64
_WATCHES = 8192
_PIPE_PAGES = 16  # of the usual pipe, 64 KiB
_FEW_WORKERS = 64
_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 50_000_000
_FEW_FILES = 10_000
_NETWORK = re.compile(r"nfs\d?|cifs|smb\d?|9p|afs|ceph|lustre|beegfs|glusterfs|fuse\.(sshfs|glusterfs|s3fs|rclone)")


def examine(state: Path) -> list[Finding]:
    """Look at the machine, and at the disk of the state folder; nothing is left behind there."""
    return [
        _python(),
        _kernel(),
        _pidfd(),
        _children(Path(f"/proc/self/task/{os.getpid()}/children")),
        _open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        _processes(resource.getrlimit(resource.RLIMIT_NPROC)[0]),
        _inotify(Path("/proc/sys/fs/inotify")),
        _terminals(),
        _screens(),
        *find_programs(os.environ.get("PATH", os.defpath)),
        _pipes(Path("/proc/sys/fs/pipe-user-pages-soft"), privileged=os.geteuid() == 0),
        _cgroup(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()),
        _memory_limits(our_place()),
        _room(read_machine()),
        *_state(state),
        *_runs(state),
    ]


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    return _judge("python", sys.version_info >= _PYTHON, found, "install Python 3.11 or later", "fail")


def _kernel() -> Finding:
    release = platform.release()
    version = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    return _judge("kernel", version >= _KERNEL, f"Linux {release}", "callboard needs Linux 5.10 or later", "fail")


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as exc:
        advice = "allow pidfd_open in the sandbox of this container"
        return Finding("signals", "fail", f"pidfd_open: {exc.strerror}", advice)
    return Finding("signals", "ok", "pidfd works")


def _children(path: Path) -> Finding:
    advice = "without it processes that leave their worker are found late; use a kernel with CONFIG_PROC_CHILDREN"
    return _judge("process tree", path.exists(), f"{path} {'is' if path.exists() else 'is not'} there", advice, "fail")


def _open_files(limit: int) -> Finding:
    found = "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit}"
    enough = limit == resource.RLIM_INFINITY or limit >= _OPEN_FILES
    return _judge("open files", enough, found, f"raise the hard limit: ulimit -Hn {_OPEN_FILES}")


def _processes(limit: int) -> Finding:
    found = "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit}"
    enough = limit == resource.RLIM_INFINITY or limit >= _PROCESSES
    return _judge("processes", enough, found, f"raise the limit: ulimit -u {_PROCESSES}")


def _inotify(folder: Path) -> Finding:
    try:
        instances = int((folder / "max_user_instances").read_text())
        watches = int((folder / "max_user_watches").read_text())
    except (OSError, ValueError):
        return Finding("inotify", "fail", "not available", "use a kernel with CONFIG_INOTIFY_USER")
    found = f"{instances} instances and {watches} watches for each user"
    advice = f"run: sysctl fs.inotify.max_user_instances={_INSTANCES * 2} fs.inotify.max_user_watches={_WATCHES * 8}"
    return _judge("inotify", instances >= _INSTANCES and watches >= _WATCHES, found, advice)


def _terminals() -> Finding:
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError as exc:
        advice = 'without them source = "pty" does not work; mount devpts on /dev/pts, or raise sysctl kernel.pty.max'
        return Finding("terminals", "warn", f"none can be opened: {exc.strerror}", advice)
    return Finding("terminals", "ok", "can be opened")


def _screens() -> Finding:
    """A convenience: the end of what a worker prints tells the rest."""
    if can_read_screens():
        return Finding("screens", "ok", "what terminals show can be read")
    found = "what terminals show is not read, so nobody sees what is asked there; everything else works"
    return Finding("screens", "ok", found, f"for that, {INSTALL_TERM}")


def _pipes(path: Path, *, privileged: bool) -> Finding:
    try:
        pages = int(path.read_text())
    except (OSError, ValueError):
        return Finding("pipes", "ok", "no limit is known")
    if privileged or pages == 0:
        return Finding("pipes", "ok", "no limit")
    workers = pages // _PIPE_PAGES // 2
    found = f"room for {workers} workers with full pipes; more get small ones, which are slower"
    advice = f"run: sysctl fs.pipe-user-pages-soft={_FEW_WORKERS * _PIPE_PAGES * 8}"
    return _judge("pipes", workers >= _FEW_WORKERS, found, advice)


def _cgroup(own: str, mounts: str) -> Finding:
    """A convenience: trees are ended without it too, so its absence is no warning."""
    line = re.search(r"^0::(.*)$", own, re.MULTILINE)
    mount = re.search(r"^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    if line is None or mount is None:
        return Finding("cgroup", "ok", "no version 2 here; callboard ends process trees without it")
    folder = Path(mount[1] + line[1])
    if (
        os.access(folder, os.W_OK)
        and (folder / "cgroup.procs").exists()
        and os.access(folder / "cgroup.procs", os.W_OK)
    ):
        return Finding("cgroup", "ok", f"version 2, writable at {folder}")
    return Finding("cgroup", "ok", "version 2, not writable for us; callboard ends process trees without it")


def _memory_limits(place: Path | None) -> Finding:
    """The other limits of a plan can be kept everywhere."""
    if place is not None:
        return Finding("memory limits", "ok", f"the kernel keeps them, by cgroups in {place}")
    found = "kept by counting, four times a second; no cgroup of version 2 with memory is delegated to us"
    return Finding("memory limits", "ok", found)


def _room(machine: Machine) -> Finding:
    free = "" if machine.free_memory is None else f"{format_bytes(machine.free_memory)} of memory free; "
    if machine.memory_pressure is None:
        return Finding("room for starts", "ok", f"{free}the kernel tells no pressure, so starts do not wait for it")
    waits = f"programs wait for memory {machine.memory_pressure:.0f}% of the time"
    return Finding("room for starts", "ok", f"{free}{waits}; see [admission]")


def _state(state: Path) -> Iterator[Finding]:
    try:
        check_state(state)
    except StateError as exc:
        yield Finding("state folder", "fail", str(exc), "until then nothing can run here")
        return
    base = next(path for path in (state, *state.absolute().parents) if path.is_dir())
    yield _file_system(base, Path("/proc/self/mountinfo").read_text())
    yield _space(base)
    yield _usable(base)


def _runs(state: Path) -> Iterator[Finding]:
    """Those that somebody has to do something about."""
    try:
        fleets = [fleet for fleet in find_fleets(state) if fleet.identity is not None]
    except StateError:
        return  # told already
    for fleet in fleets:
        keeper = read_process(lock_owner(fleet.folder.keeper_lock) or 0) if fleet.keeper_lives() else None
        if keeper is not None and keeper.state in "Tt":
            advice = f"its workers go on until their pipes are full; continue it with: kill -CONT {keeper.pid}"
            yield Finding(f"run {fleet.name}", "warn", f"its keeper (pid {keeper.pid}) is stopped", advice)
        if stopped := tell_stopped(fleet):
            found, _, advice = stopped.partition("; ")
            yield Finding(f"run {fleet.name}", "warn", found.partition(": ")[2], advice)
        elif fleet.is_detached() and _is_open(fleet):
            found, _, advice = tell_detached(fleet).partition("; ")
            yield Finding(f"run {fleet.name}", "warn", found, advice)
        elif not fleet.is_alive() and (names := list_spaces(fleet.folder)):
            yield Finding(f"workspaces of {fleet.name}", "ok", ", ".join(names), f"see: callboard clean {fleet.name}")


def _is_open(fleet: Fleet) -> bool:
    try:
        return find_end(fleet) is None
    except JournalError:
        return True


def _file_system(base: Path, mounts: str) -> Finding:
    device = base.stat().st_dev
    pattern = rf"^\S+ \S+ {os.major(device)}:{os.minor(device)} .* - (\S+) "
    match = re.search(pattern, mounts, re.MULTILINE)
    kind = match[1] if match else "unknown"
    advice = "locks and databases are not safe there; choose a state folder on a local disk"
    return _judge("file system", not _NETWORK.fullmatch(kind), f"{kind} at {base}", advice)


def _space(base: Path) -> Finding:
    disk = os.statvfs(base)
    free, files = disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else _FEW_FILES
    found = f"{format_bytes(free)} free, {files} files" if disk.f_files else f"{format_bytes(free)} free"
    advice = "make room, with `callboard prune` or elsewhere"
    if free < _NO_SPACE:
        return Finding("disk space", "fail", found, advice)
    return _judge("disk space", free >= _LITTLE_SPACE and files >= _FEW_FILES, found, advice)


def _usable(base: Path) -> Finding:
    """Do there what a run does: lock, splice, keep a journal."""
    try:
        with tempfile.TemporaryDirectory(prefix=".callboard-doctor-", dir=base) as name:
            folder = open_state(Path(name) / "state")
            for attempt in _ATTEMPTS:
                attempt(folder)
    except (OSError, FleetError) as exc:
        return Finding("state folder", "fail", str(exc), "choose another state folder")
    return Finding("state folder", "ok", f"{base} is writable; locks, splice and the journal work there")


def _try_lock(folder: Path) -> None:
    with (folder / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_splice(folder: Path) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as source, os.fdopen(write_end, "wb") as sink, (folder / "spool").open("wb") as file:
        sink.write(b"bytes")
        sink.flush()
        os.splice(source.fileno(), file.fileno(), 5)


def _try_journal(folder: Path) -> None:
    path = folder / "journal.sqlite3"
    with closing(open_journal(path)) as journal:
        journal.append([FleetSwept(at=0.0, processes=())])
        list(read_records(path))


_ATTEMPTS: tuple[Callable[[Path], None], ...] = (_try_lock, _try_splice, _try_journal)


def _judge(subject: str, good: bool, found: str, advice: str, otherwise: Level = "warn") -> Finding:
    return Finding(subject, "ok", found) if good else Finding(subject, otherwise, found, advice)
