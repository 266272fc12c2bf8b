"""The keeper program: start, output, input and exit of real processes."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.keeper_process.status import read_status
from tests.keeper_client import Client, Message, running_keeper
from tests.small_disk import small_disk


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as client:
        yield client


def test_both_streams_and_the_exit_code_arrive(client: Client) -> None:
    attempt = client.shell("printf out; printf err >&2; exit 3")

    exited = client.report("exited", attempt)
    ended = client.report("ended", attempt)

    assert (exited["code"], exited["signal"]) == (3, None)
    assert (ended["code"], ended["signal"], ended["reason"], ended["swept"]) == (3, None, "exit", [])
    assert ended["exited_at"] == exited["at"] <= ended["at"]
    assert (ended["stdout_bytes"], ended["stderr_bytes"]) == (3, 3)
    assert (client.stdout(attempt), client.stderr(attempt)) == (b"out", b"err")


def test_what_is_printed_fast_and_is_no_text_is_kept_to_the_byte(client: Client) -> None:
    script = "import os; d = os.urandom(1 << 20)\nfor _ in range(16): os.write(1, d)\n"
    script += "import _sha2 as h" if sys.version_info >= (3, 12) else "import _sha256 as h"
    script += "\ns = h.sha256()\nfor _ in range(16): s.update(d)\nos.write(2, s.hexdigest().encode())"

    attempt = client.python(script)
    ended = client.report("ended", attempt)

    assert ended["stdout_bytes"] == 16 << 20
    assert hashlib.sha256(client.stdout(attempt)).hexdigest().encode() == client.stderr(attempt)


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGPIPE])
def test_an_end_by_a_signal_is_reported_by_its_name(client: Client, signo: signal.Signals) -> None:
    attempt = client.shell(f"ulimit -c 0; kill -{signo.value} $$")

    ended = client.report("ended", attempt)

    assert (ended["code"], ended["signal"], ended["reason"]) == (None, signo.name, "exit")


def test_a_real_time_signal_has_a_name_too(client: Client) -> None:
    attempt = client.python("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)")

    assert client.report("ended", attempt)["signal"] == "SIGRTMIN+3"


def test_a_spawn_asked_again_gives_the_same_answer_and_starts_nothing(client: Client) -> None:
    request = client.spawn_request("/bin/sh", "-c", "echo once; exec cat", stdin={"kind": "pipe"})

    first, second = client.ask(request), client.ask(request)
    descriptors = len(client.fds)
    for stdin in (5, 2):
        os.close(client.fds.pop(stdin))
    client.ask({"op": "close_stdin", "attempt": request["attempt"]})
    client.report("ended", request["attempt"])
    third = client.ask(request)

    assert first == second == third
    assert descriptors == 6
    assert client.stdout(request["attempt"]) == b"once\n"
    assert [os.read(fd, 10) for fd in client.fds[4:]] == [b"", b""]


def test_a_resumed_attempt_is_answered_as_before_and_an_unknown_one_is_not_started(client: Client) -> None:
    request = client.spawn_request("/bin/sh", "-c", "echo once")

    refused = client.refusal({**request, "resume": True})
    started = client.ask(request)
    client.report("ended", request["attempt"])
    resumed = client.ask({**request, "resume": True})

    assert refused["code"] == "unknown-attempt"
    assert started == resumed
    assert client.stdout(request["attempt"]) == b"once\n"


def test_the_reply_carries_the_read_ends_of_stdout_and_stderr_in_this_order(client: Client) -> None:
    request = client.spawn_request("/bin/sleep", "100")
    pid = client.ask(request)["pid"]

    ours = [os.fstat(fd).st_ino for fd in client.fds]
    theirs = [Path(f"/proc/{pid}/fd/{number}").stat().st_ino for number in (1, 2)]

    assert ours == theirs


def test_a_hundred_workers_end_exactly_once_each(client: Client) -> None:
    attempts = {client.shell(f"echo {number}; exit {number}"): number for number in range(100)}

    for attempt, number in attempts.items():
        assert client.report("ended", attempt)["code"] == number
        assert client.stdout(attempt) == f"{number}\n".encode()
    assert [report["type"] for report in client.reports] == ["exited"] * 100


@pytest.mark.parametrize(
    ("make", "code", "part"),
    [
        (lambda folder: {"executable": f"{folder}/none"}, "ENOENT", "No such file or directory; install it"),
        (lambda folder: {"executable": f"{folder}"}, "EACCES", "it may not be executed"),
        (lambda folder: {"executable": f"{folder}/plain"}, "EACCES", "chmod +x"),
        (lambda folder: {"executable": f"{folder}/script"}, "ENOEXEC", "no #! line"),
        (lambda folder: {"executable": f"{folder}/strange"}, "ENOENT", "interpreter"),
        (lambda folder: {"cwd": f"{folder}/none"}, "ENOENT", "cwd"),
        (lambda folder: {"cwd": f"{folder}/plain"}, "ENOTDIR", "cwd"),
        (lambda folder: {"stdin": {"kind": "file", "text": f"{folder}/none"}}, "ENOENT", "stdin file"),
        (lambda folder: {"stdout": f"{folder}/none/out"}, "ENOENT", "none/out"),
        (lambda folder: {"status": f"{folder}/none/status"}, "ENOENT", "none/status"),
        (lambda _: {"argv": ["true", "x" * 200_000]}, "E2BIG", "too long"),
    ],
)
def test_what_cannot_be_started_is_refused_with_what_to_do(client: Client, make, code: str, part: str) -> None:  # type: ignore[no-untyped-def]
    folder = client.keeper.folder
    for name, content, mode in [("plain", "", 0o600), ("script", "true\n", 0o700), ("strange", "#!/none/sh\n", 0o700)]:
        (folder / name).write_text(content)
        (folder / name).chmod(mode)

    error = client.refusal(client.spawn_request("/bin/true", **make(folder)))

    assert error["code"] == code
    assert part in error["message"]
    assert client.report("ended", client.shell("exit 0"))["code"] == 0


def test_a_refused_start_leaves_a_status_that_says_so(client: Client) -> None:
    request = client.spawn_request("/none")

    client.refusal(request)

    status = read_status(request["status"])
    assert status is not None and (status.state, status.reason, status.pid) == ("ended", "not-started", 0)


def test_the_status_file_tells_what_happened(client: Client) -> None:
    request = client.spawn_request("/bin/sh", "-c", "printf 12345; read line; exit 7", stdin={"kind": "pipe"})
    started = client.ask(request)

    running = read_status(request["status"])
    client.drop_fds()
    client.ask({"op": "close_stdin", "attempt": request["attempt"]})
    report = client.report("ended")
    ended = read_status(request["status"])

    assert running is not None and ended is not None
    assert (running.state, running.pid, running.start_ticks) == ("running", started["pid"], started["start_ticks"])
    assert (ended.state, ended.code, ended.signal, ended.reason) == ("ended", 7, None, "exit")
    assert (ended.stdout_bytes, ended.stderr_bytes, ended.exited_at) == (5, 0, report["exited_at"])


def test_a_worker_gets_exactly_the_environment_that_was_asked_for(client: Client) -> None:
    env = ["ODD=a=b\nc", "EMPTY=", "BYTES=\xff\x80", "2X=3"]
    request = client.spawn_request("/usr/bin/env", "-0", env=env)

    client.ask(request)
    client.report("ended")

    expected = {entry.encode("latin-1") for entry in env}
    assert set(client.stdout(request["attempt"]).split(b"\0")) == expected | {b""}


def test_a_worker_runs_in_its_folder_with_arguments_of_any_bytes(client: Client) -> None:
    folder = client.keeper.folder / "inner"
    folder.mkdir()

    attempt = client.shell(
        'pwd; printf %s "$1"', cwd=str(folder), argv=["sh", "-c", 'pwd; printf %s "$1"', "x", "\xff"]
    )
    client.report("ended", attempt)

    assert client.stdout(attempt) == f"{folder}\n".encode() + b"\xff"


def test_a_worker_starts_with_default_signals_in_a_session_of_its_own(client: Client) -> None:
    request = client.spawn_request("/bin/cat", "/proc/self/status", "/proc/self/stat")

    pid = client.ask(request)["pid"]
    client.report("ended")

    *status, stat = client.stdout(request["attempt"]).decode().splitlines()
    facts = dict(line.split(":\t") for line in status)
    internal_to_glibc = 0b11 << 31
    assert {int(facts[name], 16) & ~internal_to_glibc for name in ("SigBlk", "SigIgn", "SigCgt")} == {0}
    assert stat.rpartition(")")[2].split()[2:4] == [str(pid), str(pid)]


def test_memory_is_taken_from_a_worker_before_it_is_taken_from_the_keeper(client: Client) -> None:
    pid = client.ask(client.spawn_request("/bin/sleep", "100"))["pid"]

    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) >= 500


def test_a_worker_inherits_no_descriptor_but_its_three(client: Client) -> None:
    client.shell("exec sleep 100")
    attempt = client.shell("ls /proc/self/fd | wc -l")

    client.report("ended", attempt)

    assert int(client.stdout(attempt)) == 4  # the fourth is of ls, which reads the folder


def test_the_limit_of_open_files_is_the_users_for_workers_and_the_highest_for_the_keeper(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))

    try:
        with running_keeper(tmp_path / "fleet") as client:
            attempt = client.shell("ulimit -Sn; ulimit -Hn")
            client.report("ended", attempt)
            own = resource.prlimit(client.keeper.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert client.stdout(attempt).split() == [b"200", str(hard).encode()]
    assert own == (hard, hard)


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        ({"kind": "none"}, b""),
        ({"kind": "text", "text": "a\x00\xff\n"}, b"a\x00\xff\n"),
        ({"kind": "text", "text": "long " * 100_000}, b"long " * 100_000),
        ({"kind": "file", "text": "/proc/sys/kernel/ostype"}, b"Linux\n"),
    ],
)
def test_a_worker_reads_the_input_that_was_chosen(client: Client, stdin: Message, expected: bytes) -> None:
    attempt = client.spawn("/bin/cat", stdin=stdin)

    ended = client.report("ended", attempt)

    assert ended["code"] == 0
    assert client.stdout(attempt) == expected


def test_a_pipe_stays_open_until_it_is_closed_by_command(client: Client) -> None:
    attempt = client.shell("echo ready; cat; echo closed", stdin={"kind": "pipe"})

    client.wait_for_output(attempt, b"ready")
    client.ask({"op": "close_stdin", "attempt": attempt})
    client.ask({"op": "close_stdin", "attempt": attempt})
    client.report("ended", attempt)

    assert client.stdout(attempt) == b"ready\nclosed\n"


def test_a_named_pipe_without_a_writer_holds_nobody_up(client: Client) -> None:
    fifo = client.keeper.folder / "fifo"
    os.mkfifo(fifo)

    attempt = client.spawn("/bin/cat", stdin={"kind": "file", "text": str(fifo)})

    assert client.report("ended", attempt)["code"] == 0


def test_output_is_added_to_a_spool_file_that_exists(client: Client) -> None:
    spool = client.keeper.folder / "spool"
    spool.write_bytes(b"before ")

    client.spawn("/bin/echo", "after", stdout=str(spool))

    assert client.report("ended")["stdout_bytes"] == len(b"before after\n")
    assert spool.read_bytes() == b"before after\n"


def test_spool_and_status_files_are_for_our_eyes_only(client: Client) -> None:
    request = client.spawn_request("/bin/true")

    client.ask(request)

    assert {Path(request[name]).stat().st_mode & 0o777 for name in ("stdout", "stderr", "status")} == {0o600}


def test_a_forgotten_attempt_is_unknown_and_a_living_one_is_not_forgotten(client: Client) -> None:
    attempt = client.shell("read line", stdin={"kind": "pipe"})
    forget = {"op": "forget", "attempt": attempt}

    client.ask(forget)
    client.ask({"op": "close_stdin", "attempt": attempt})
    client.report("ended", attempt)
    client.ask(forget)

    assert client.refusal(forget)["code"] == "unknown-attempt"


def test_on_a_full_disk_the_worker_waits_and_a_new_one_is_refused(client: Client, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        spool = disk / "spool"
        attempt = client.python("import os; os.write(1, b'x' * 400_000); os.write(2, b'all')", stdout=str(spool))

        blocked = client.report("blocked", attempt)
        refused = client.refusal(client.spawn_request("/bin/true", status=str(disk / "status")))
        subprocess.run(["mount", "-o", "remount,size=2m", disk], check=True)
        client.report("resumed", attempt)
        ended = client.report("ended", attempt)

        assert (blocked["stream"], blocked["error"]) == ("stdout", "No space left on device")
        assert (refused["code"], "make room" in refused["message"]) == ("ENOSPC", True)
        assert (ended["code"], ended["stdout_bytes"], ended["stderr_bytes"]) == (0, 400_000, 3)
        assert spool.read_bytes() == b"x" * 400_000


def test_a_blocked_stream_is_told_to_the_next_supervisor(client: Client, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        attempt = client.python("import os; os.write(1, b'x' * 400_000)", stdout=str(disk / "spool"))
        client.report("blocked", attempt)

        second = client.keeper.connect(generation=2)

        assert second.report("blocked", attempt)["stream"] == "stdout"
        subprocess.run(["mount", "-o", "remount,size=2m", disk], check=True)
        assert second.report("ended", attempt)["stdout_bytes"] == 400_000
        second.close()
