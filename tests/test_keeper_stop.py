"""Nothing of a worker outlives its stop: the ladder with real process trees that resist it."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeper_client import DEADLINE, Client, is_alive, running_keeper, wait_until_gone

DAEMON = """
import os, signal, sys, time
if os.fork():
    os.wait() if {waits} else os._exit(0)
os.setsid()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.write(f"pid {{os.getpid()}}\\n")
sys.stdout.flush()
time.sleep(100)
"""
CHAIN = """
import os, sys, time
sys.stdout.write("pid 0\\n")
sys.stdout.flush()
while True:
    if os.fork():
        {parent}
    {child}
    time.sleep({pause})
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_keeper(tmp_path / "fleet") as client:
        yield client


def wait_for_text(file: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while not file.exists() or not file.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.002)


def pid_printed(client: Client, attempt: str) -> int:
    client.wait_for_output(attempt, b"\n")
    return int(client.stdout(attempt).split()[1])


def test_a_worker_that_obeys_term_ends_in_its_own_way(client: Client) -> None:
    attempt = client.shell("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.01; done")
    client.wait_for_output(attempt, b"ready")

    client.stop(attempt, grace=10.0)
    stopping, ended = client.report("stopping", attempt), client.report("ended", attempt)

    assert (stopping["reason"], stopping["grace"]) == ("stop", 10.0)
    assert (ended["code"], ended["signal"], ended["reason"]) == (9, None, "stop")
    assert client.stdout(attempt) == b"ready\nbye\n"


def test_a_worker_that_ignores_term_is_killed_after_its_grace(client: Client) -> None:
    attempt = client.shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")
    client.wait_for_output(attempt, b"ready")

    client.stop(attempt, grace=0.05)

    ended = client.report("ended", attempt)
    assert (ended["signal"], ended["reason"]) == ("SIGKILL", "stop")


def test_without_grace_there_is_no_term(client: Client) -> None:
    attempt = client.shell("trap 'echo term' TERM; echo ready; while :; do sleep 0.01; done")
    client.wait_for_output(attempt, b"ready")

    client.stop(attempt, grace=0.0)

    assert client.report("ended", attempt)["signal"] == "SIGKILL"
    assert client.stdout(attempt) == b"ready\n"


def test_a_second_stop_hurries_the_first(client: Client) -> None:
    attempt = client.shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")
    client.wait_for_output(attempt, b"ready")

    client.stop(attempt, grace=1000.0)
    client.stop(attempt, grace=2000.0)
    client.stop(attempt, grace=0.0)

    assert client.report("ended", attempt)["signal"] == "SIGKILL"
    assert [client.report("stopping")["grace"] for _ in range(2)] == [1000.0, 0.0]


def test_a_worker_that_waits_for_its_input_sees_its_end_first(client: Client) -> None:
    attempt = client.shell("trap '' TERM; echo ready; cat; echo closed", stdin={"kind": "pipe"})
    client.wait_for_output(attempt, b"ready")

    client.stop(attempt, grace=10.0)

    assert client.report("ended", attempt)["code"] == 0
    assert client.stdout(attempt) == b"ready\nclosed\n"


def test_a_stopped_process_gets_its_term(client: Client) -> None:
    attempt = client.shell("trap 'echo bye; exit 0' TERM; echo pid $$; while :; do sleep 0.01; done")
    os.kill(pid_printed(client, attempt), signal.SIGSTOP)

    client.stop(attempt, grace=10.0)

    assert client.report("ended", attempt)["code"] == 0
    assert client.stdout(attempt).endswith(b"bye\n")


def test_a_stopped_process_that_ignores_term_is_killed(client: Client) -> None:
    attempt = client.shell("trap '' TERM CONT; echo pid $$; while :; do sleep 0.01; done")
    os.kill(pid_printed(client, attempt), signal.SIGSTOP)

    client.stop(attempt, grace=0.05)

    assert client.report("ended", attempt)["signal"] == "SIGKILL"


@pytest.mark.parametrize(
    "script",
    [
        "setsid sh -c 'echo pid $$; exec sleep 100' & exec sleep 100",
        "setsid sh -c 'trap \"\" TERM; echo pid $$; while :; do sleep 0.01; done' & exec sleep 100",
        "env -i setsid sh -c 'echo pid $$; exec sleep 100' & exec sleep 100",
        "(setsid sh -c 'echo pid $$; exec sleep 100' &); exec sleep 100",
        "(env -i setsid sh -c 'trap \"\" TERM; echo pid $$; while :; do sleep 0.01; done' &) ; exec sleep 100",
        "nohup sh -c 'echo pid $$; exec sleep 100' & exec sleep 100",
        "(sh -c 'trap \"\" TERM; echo pid $$; kill -STOP $$' &); exec sleep 100",
    ],
)
@pytest.mark.parametrize("grace", [0.0, 0.05])
def test_no_daemon_outlives_the_stop_of_its_worker(client: Client, script: str, grace: float) -> None:
    other = client.shell("exec sleep 100")
    attempt = client.shell(script)
    daemon = pid_printed(client, attempt)

    client.stop(attempt, grace)
    ended = client.report("ended", attempt)

    assert ended["reason"] == "stop"
    assert not is_alive(daemon)
    client.stop(other)
    assert client.report("ended", other)["reason"] == "stop"


@pytest.mark.parametrize("script", [DAEMON.format(waits=True), DAEMON.format(waits=False)])
def test_a_daemon_that_ignores_term_is_killed(client: Client, script: str) -> None:
    attempt = client.python(script, linger=100.0)
    daemon = pid_printed(client, attempt)

    client.stop(attempt, grace=0.05)
    client.report("ended", attempt)

    assert not is_alive(daemon)


@pytest.mark.parametrize("child", ["pass", "os.setsid()"])
@pytest.mark.parametrize("pause", [0, 0.001])
@pytest.mark.parametrize("parent", ["os._exit(0)", "os.wait()"])
def test_a_chain_of_forks_is_outrun(client: Client, parent: str, child: str, pause: float) -> None:
    if parent == "os.wait()":
        pause += 0.005  # this one keeps all its links
    attempt = client.python(CHAIN.format(parent=parent, child=child, pause=pause), linger=100.0)
    client.wait_for_output(attempt, b"\n")

    client.stop(attempt, grace=0.0)

    assert client.report("ended", attempt)["type"] == "ended"


def test_a_worker_that_ends_in_the_moment_of_its_stop_ends_once(client: Client) -> None:
    for delay in range(20):
        attempt = client.python(f"import time; time.sleep({delay / 10_000})")
        client.post({"op": "stop", "attempt": attempt, "grace": 5.0, "reason": "stop"})
        ended = client.report("ended", attempt)

        assert (ended["reason"], ended["signal"]) in {("stop", "SIGTERM"), ("exit", None), ("stop", None)}
        assert ended["reason"] == "stop" or ended["code"] == 0
    assert {report["type"] for report in client.reports} <= {"exited", "stopping"}


def test_a_stop_of_what_has_ended_changes_nothing(client: Client) -> None:
    attempt = client.shell("exit 0")
    client.report("ended", attempt)

    client.stop(attempt)
    client.stop(client.shell("exit 0"))

    assert client.report("ended")["attempt"] != attempt


def test_a_timeout_needs_no_command(client: Client) -> None:
    attempt = client.shell("trap '' TERM; while :; do sleep 0.01; done", timeout=0.05, grace=0.05)

    stopping, ended = client.report("stopping", attempt), client.report("ended", attempt)

    assert (stopping["reason"], stopping["grace"]) == ("timeout", 0.05)
    assert (ended["reason"], ended["signal"]) == ("timeout", "SIGKILL")


def test_a_timeout_can_be_moved_and_a_stop_tells_why(client: Client) -> None:
    attempt = client.shell("while :; do sleep 0.01; done", timeout=1000.0, grace=0.05)
    client.ask({"op": "extend", "attempt": attempt, "left": 0.05})

    assert client.report("ended", attempt)["reason"] == "timeout"
    other = client.shell("while :; do sleep 0.01; done")
    client.ask({"op": "stop", "attempt": other, "grace": 0, "reason": "quiet", "detail": "not a word"})
    ended = client.report("ended", other)
    assert (ended["reason"], ended["detail"]) == ("quiet", "not a word")


def test_a_timeout_after_the_end_is_none(client: Client) -> None:
    attempt = client.shell("sleep 0.1 & exit 0", timeout=0.05, linger=10.0)

    ended = client.report("ended", attempt)

    assert (ended["reason"], ended["code"], ended["swept"]) == ("exit", 0, [])


def test_output_that_comes_after_the_leader_is_waited_for(client: Client) -> None:
    attempt = client.shell("(sleep 0.1; echo late) & echo early", linger=10.0)

    exited, ended = client.report("exited", attempt), client.report("ended", attempt)

    assert ended["at"] - exited["at"] > 0.05
    assert (ended["reason"], ended["swept"]) == ("exit", [])
    assert client.stdout(attempt) == b"early\nlate\n"


def test_what_outlives_the_leader_for_too_long_is_ended_and_listed(client: Client) -> None:
    running = "until grep -q sleep /proc/$one/comm && grep -q sleep /proc/$two/comm; do :; done"
    script = f"sleep 1000 & one=$!; sleep 2000 >/dev/null 2>&1 & two=$!; {running}; exit 4"
    attempt = client.shell(script, linger=0.05)

    ended = client.report("ended", attempt)

    assert (ended["reason"], ended["code"]) == ("exit", 4)
    assert sorted(name.split(" ", 1)[1] for name in ended["swept"]) == ["sleep 1000", "sleep 2000"]
    assert not any(is_alive(int(name.split()[0])) for name in ended["swept"])


def test_a_silent_daemon_is_waited_for_and_no_longer(client: Client) -> None:
    attempt = client.shell("setsid sleep 0.1 >/dev/null 2>&1 & exit 0", linger=10.0)

    ended = client.report("ended", attempt)

    assert ended["at"] - ended["exited_at"] > 0.05
    assert ended["swept"] == []


def test_a_stop_ends_what_the_leader_left_behind(client: Client) -> None:
    attempt = client.shell("sleep 1000 & exit 0", linger=1000.0)
    client.report("exited", attempt)

    client.stop(attempt, grace=1000.0)

    ended = client.report("ended", attempt)
    assert (ended["reason"], len(ended["swept"])) == ("exit", 1)


def test_a_pipe_that_a_stranger_holds_is_closed_when_its_time_is_over(client: Client) -> None:
    request = client.spawn_request("/bin/sh", "-c", "echo all; read line", stdin={"kind": "pipe"}, linger=0.05)
    pid = client.ask(request)["pid"]
    stranger = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)

    os.write(stranger, b"and this\n")
    client.drop_fds()
    client.ask({"op": "close_stdin", "attempt": request["attempt"]})
    ended = client.report("ended")
    os.close(stranger)

    assert (ended["reason"], ended["swept"]) == ("exit", [])
    assert sorted(client.stdout(request["attempt"]).splitlines()) == [b"all", b"and this"]


def test_attached_workers_go_with_the_connection_of_the_supervisor(client: Client) -> None:
    stubborn = client.shell("trap '' TERM; echo pid $$; while :; do sleep 0.01; done")
    daemon = client.shell("(env -i setsid sh -c 'trap \"\" TERM; echo pid $$; exec sleep 100' &); exec sleep 100")
    pids = [pid_printed(client, attempt) for attempt in (stubborn, daemon)]
    status = client.keeper.folder / f"{stubborn}.status"

    client.close()
    for pid in pids:
        wait_until_gone(pid)

    assert client.keeper.wait() == 0
    assert '"reason":"orphaned"' in status.read_text()
    assert not client.keeper.socket_path.exists()


def test_output_and_exit_are_complete_when_workers_end_without_a_supervisor(client: Client) -> None:
    attempt = client.shell("trap 'echo bye; exit 5' TERM; echo pid $$; while :; do sleep 0.01; done")
    pid_printed(client, attempt)

    client.close()
    client.keeper.wait()

    assert client.stdout(attempt).endswith(b"bye\n")
    assert '"code":5' in (client.keeper.folder / f"{attempt}.status").read_text()


def test_shutdown_ends_all_and_tells_what_nobody_could_place(client: Client) -> None:
    durable = client.shell("trap '' TERM; echo ready; exec sleep 100", attached=False)
    client.wait_for_output(durable, b"ready")
    lonely = "(env -i setsid sh -c '(sh -c \"echo pid \\$\\$ >&3; exec sleep 100\" &)' </dev/null >/dev/null 2>&1 3>F)"
    file = client.keeper.folder / "daemon"
    parent = client.shell(lonely.replace("F", str(file)))
    client.report("exited", parent)
    wait_for_text(file)

    finished = client.ask({"op": "shutdown"})

    assert client.keeper.wait() == 0
    assert client.report("ended", durable)["signal"] == "SIGKILL"
    ended = client.report("ended", parent)
    pid = int(file.read_text().split()[1])
    assert not is_alive(pid)
    assert [name.split()[0] for name in [*finished["ended"], *ended["swept"]]] == [str(pid)]


def test_a_process_that_nobody_can_place_is_reported_and_ends_with_the_fleet(client: Client) -> None:
    file = client.keeper.folder / "daemon"
    other = client.shell("exec sleep 100")
    script = f"(env -i setsid sh -c 'echo pid $$ > {file}; exec sleep 100' <&- >&- 2>&- &); exec sleep 100"
    attempt = client.shell(script)
    wait_for_text(file)
    client.stop(other)  # each stop counts

    found = client.report("unattributed")
    client.stop(attempt)
    client.report("ended", attempt)
    alive_before = is_alive(found["pid"])
    finished = client.ask({"op": "shutdown"})

    assert found["pid"] == int(file.read_text().split()[1])
    assert found["command"].endswith("sleep 100")
    assert finished["ended"] == [f"{found['pid']} sleep 100"]
    assert alive_before and not is_alive(found["pid"])


def test_a_keeper_that_shuts_down_starts_nothing(client: Client) -> None:
    attempt = client.shell("trap '' TERM; echo ready; exec sleep 100")
    client.wait_for_output(attempt, b"ready")

    requests = [{"id": 100, "op": "shutdown"}, {**client.spawn_request("/bin/true"), "id": 101}]
    client.socket.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    assert client.reply_to(101)["error"]["code"] == "ESHUTDOWN"
    assert client.reply_to(100)["ok"] == {"ended": []}


def test_sixty_workers_that_resist_are_gone_soon_after_one_stop(client: Client) -> None:
    attempts = [client.shell("trap '' TERM; setsid sleep 100 & echo pid $!; wait; sleep 100") for _ in range(60)]
    daemons = [pid_printed(client, attempt) for attempt in attempts]
    began = time.monotonic()

    for attempt in attempts:
        client.stop(attempt, grace=0.05)
    for attempt in attempts:
        client.report("ended", attempt)

    print(f"60 trees ended in {time.monotonic() - began:.2f} s")
    assert not any(is_alive(pid) for pid in daemons)
