"""Managed servers, with a program in the place of OpenCode that misbehaves, and a real keeper."""

import os
import re
import signal
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.opencode_process import Host, free_port
from actors.orders import KeeperAsk
from actors.server_messages import ServerGone, ServerReady
from actors.session_messages import Endpoint
from protocols.agents import Agent
from protocols.errors import ServerError
from protocols.ids import FleetId
from protocols.secrets import SecretSource
from tests.keeper_client import is_alive, wait_until_gone
from tests.process_trees import wait_until
from tests.server_pools import Pools, fake_agent, open_pools


def _environ(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


async def test_a_server_is_started_when_a_place_is_wanted_and_gone_when_the_pool_has_ended(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent()) as pools:
        assert pools.told == []
        async with pools.pool.lease("/work") as lease:
            ready = await pools.ready()
            assert lease.endpoint == ready.endpoint
            assert (lease.server, lease.companion) == ("oc-1", "beside oc-1")

    assert (ready.server, ready.boot, ready.version) == ("oc-1", 1, "9.9.9")
    assert pools.told == [ready, ServerGone("oc-1", 1, "nobody needs it any more", None)]
    assert pools.living() == []


async def test_nobody_else_can_read_its_configuration_and_its_password_is_in_no_file(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(keys="secret")) as pools, pools.pool.lease("/work") as lease:
        files = [path for path in pools.folder.rglob("*") if path.is_file()]
        config = pools.folder / "oc-1" / "1" / "opencode.json"

        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
        assert msgspec.json.decode(config.read_bytes()) == {"keys": "secret"}
        assert len(lease.endpoint.password) >= 24
        assert not [path for path in files if lease.endpoint.password.encode() in path.read_bytes()]


async def test_it_gets_the_environment_of_the_agent_and_not_ours(tmp_path: Path) -> None:
    source = SecretSource(env="ELSEWHERE")
    agent = msgspec.structs.replace(fake_agent(), env={"SET": "x"}, pass_env=("PASSED",), secrets={"KEY": source})
    environ = {"PASSED": "y", "WITHHELD": "z"}
    async with open_pools(tmp_path, agent, environ=environ, secrets={source: "k"}) as pools, pools.pool.lease("/work"):
        ready = await pools.ready()
        got = _environ(ready.pid)
        assert b"KEY=k" in got

    assert b"SET=x" in got and b"PASSED=y" in got
    assert not [each for each in got if each.startswith(b"WITHHELD")]


async def test_a_server_that_dies_comes_back_at_its_address_as_another_boot(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent()) as pools, pools.pool.lease("/work") as lease:
        first = await pools.ready()
        os.kill(first.pid, signal.SIGKILL)
        second = await pools.ready(2)

        gone = await pools.gone()
        assert f"its server (pid {first.pid}) was ended by SIGKILL" in gone.why
        assert (gone.boot, gone.again_in is not None) == (1, True)
        assert second == ServerReady("oc-1", 2, lease.endpoint, "9.9.9", second.pid)
        assert second.pid != first.pid
        (((_, endpoint, boot),)) = pools.with_them
        assert endpoint == lease.endpoint and boot is not None and boot() == 2
        assert not lease.given_up.is_set()


async def test_what_a_dead_server_started_is_gone_before_the_next_one_comes(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(tool=True)) as pools, pools.pool.lease("/work"):
        first = await pools.ready()
        tool = int((pools.folder / "oc-1" / "1" / "tool").read_text())
        assert is_alive(tool)
        os.kill(first.pid, signal.SIGKILL)
        await pools.ready(2)

        assert not is_alive(tool)


async def test_a_server_that_never_comes_up_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(mode="die")) as pools:
        with pytest.raises(ServerError, match="no such model") as caught:
            async with pools.pool.lease("/work"):
                pass

    assert "ended with exit code 3" in str(caught.value) and "\x1b" not in str(caught.value)
    assert str(pools.folder / "oc-1" / "3" / "stderr") in str(caught.value)
    assert [(type(state), state.boot) for state in pools.told] == [(ServerGone, 1), (ServerGone, 2), (ServerGone, 3)]
    assert [state.given_up for state in pools.told if isinstance(state, ServerGone)] == [False, False, True]
    assert pools.with_them == []


async def test_who_has_a_place_learns_that_the_server_is_given_up(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(mode="once")) as pools, pools.pool.lease("/work") as lease:
        os.kill((await pools.ready()).pid, signal.SIGKILL)
        await lease.given_up.wait()

        assert "no such model" in lease.why
        async with pools.pool.lease("/work") as another:
            assert another.server == "oc-2"


@pytest.mark.parametrize(
    ("mode", "what"), [("deaf", "it does not listen"), ("hang", "it listens, but .*no answer within")]
)
async def test_a_server_that_is_not_ready_in_time_is_ended(tmp_path: Path, mode: str, what: str) -> None:
    agent = fake_agent(mode=mode, ready_within=1.5)
    async with open_pools(tmp_path, agent) as pools:
        with trio.move_on_after(0):
            async with pools.pool.lease("/work"):
                pass
        gone = await pools.gone()

    assert gone.again_in is not None
    assert pools.living() == []
    assert re.search(rf"not ready after 1.5 s: {what}", gone.why), gone.why
    assert "raise agents.oc.ready_within" in gone.why


async def test_a_server_that_answers_no_more_is_replaced(tmp_path: Path) -> None:
    agent = fake_agent(mode="freeze")
    async with open_pools(tmp_path, agent, stuck_after=0.5) as pools, pools.pool.lease("/work"):
        await pools.ready()
        (pools.folder / "oc-1" / "1" / "freeze").touch()
        await pools.ready(2)

        assert "did not answer for 0.5 s" in (await pools.gone()).why


async def test_what_is_busy_is_aborted_before_the_server_ends(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(busy=["ses_a", "ses_b"])) as pools, pools.pool.lease("/work"):
        pass

    assert sorted((pools.folder / "oc-1" / "1" / "aborted").read_text().split()) == ["ses_a", "ses_b"]


async def test_a_missing_program_is_told_at_once_with_what_to_do(tmp_path: Path) -> None:
    agent = Agent(name="oc", command=("opencode-that-nobody-has",))
    async with open_pools(tmp_path, agent) as pools:
        with pytest.raises(ServerError) as caught:
            async with pools.pool.lease("/work"):
                pass

    advice = "install it (npm install --global opencode-ai), or set agents.oc.command"
    assert str(caught.value) == f'agent "oc": "opencode-that-nobody-has" is not on PATH; {advice}'
    assert len(pools.told) == 1


async def test_beyond_the_cap_another_server_is_started_and_a_free_place_is_taken_first(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(sessions_per_server=2)) as pools:
        lease = pools.pool.lease
        async with lease("/a") as first, lease("/b") as second, lease("/c") as third:
            assert (first.server, second.server, third.server) == ("oc-1", "oc-1", "oc-2")
            assert first.endpoint != third.endpoint
        async with pools.pool.lease("/d") as fourth:
            assert fourth.server == "oc-1"

        assert [server for server, _, _ in pools.with_them] == ["oc-1", "oc-2"]


async def test_of_servers_that_nobody_uses_one_stays(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(sessions_per_server=1), idle_after=0.05) as pools:
        async with pools.pool.lease("/a"), pools.pool.lease("/b"):
            await pools.ready(2)
        gone = await pools.gone()
        async with pools.pool.lease("/c") as lease:
            assert lease.server != gone.server
        async with pools.pool.lease("/c") as lease, pools.pool.lease("/d") as another:
            assert another.server not in {lease.server, gone.server}

    assert gone.why == "nobody needs it any more"


async def test_without_a_cap_one_server_has_all(tmp_path: Path) -> None:
    servers: list[str] = []
    async with open_pools(tmp_path, fake_agent()) as pools, trio.open_nursery() as nursery:

        async def have_a_place() -> None:
            async with pools.pool.lease("/work") as lease:
                servers.append(lease.server)

        for _ in range(20):
            nursery.start_soon(have_a_place)

    assert servers == ["oc-1"] * 20


async def test_who_leaves_a_place_after_the_pool_was_cancelled_meets_no_error(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent()) as pools, trio.open_nursery() as outer:
        cancelled, held = trio.Event(), trio.Event()
        other = Pools(pools.host, pools.folder / "other", 120.0, 60.0)

        async def hold(*, task_status: trio.TaskStatus[None]) -> None:
            async with other.pool.lease("/work"):
                task_status.started()
                with trio.CancelScope(shield=True):
                    await cancelled.wait()
            held.set()

        async with trio.open_nursery() as supplying:
            await supplying.start(other.pool.run)
            await outer.start(hold)
            supplying.cancel_scope.cancel(reason="an emergency")
        cancelled.set()
        await held.wait()


async def test_a_pool_that_is_stopped_gives_no_place(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent()) as pools:
        pools.pool.stop()

        with pytest.raises(ServerError, match="being stopped"):
            async with pools.pool.lease("/work"):
                pass


async def test_a_server_that_is_stopped_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(mode="deaf", tool=True)) as pools, trio.open_nursery() as nursery:

        async def want_a_place() -> None:
            with pytest.raises(ServerError, match="stopped before its server answered"):
                async with pools.pool.lease("/work"):
                    pass

        nursery.start_soon(want_a_place)
        await trio.to_thread.run_sync(wait_until, (pools.folder / "oc-1" / "1" / "tool").exists)
        pools.pool.stop()

    assert pools.living() == []


async def test_that_somebody_else_has_the_port_is_told_and_another_one_is_tried(tmp_path: Path) -> None:
    async with open_pools(tmp_path, fake_agent(mode="taken")) as pools, pools.pool.lease("/work") as lease:
        gone = await pools.gone()

        assert re.search(r"ended with exit code 1: somebody else has its port \d+ of 127.0.0.1", gone.why), gone.why
        port = lease.endpoint.url.rpartition(":")[2]
        assert port not in gone.why


async def test_a_server_of_somebody_else_is_used_and_left_alone(tmp_path: Path) -> None:
    async with open_pools(tmp_path / "theirs", fake_agent()) as theirs, theirs.pool.lease("/work") as their_lease:
        endpoint = their_lease.endpoint
        agent = Agent(name="there", attach=f"{endpoint.url}/", password_env="THEIR_PASSWORD", sessions_per_server=1)
        environ = {"THEIR_PASSWORD": endpoint.password}
        opened = open_pools(tmp_path / "ours", agent, environ=environ)
        async with opened as ours, ours.pool.lease("/a") as lease, ours.pool.lease("/b") as another:
            assert (lease.server, lease.endpoint) == ("there", endpoint)
            assert another.endpoint == endpoint

        assert ours.with_them == [("there", endpoint, None)]
        assert ours.told == [
            ServerReady("there", 1, endpoint, "9.9.9", 0),
            ServerGone("there", 1, "nobody needs it any more", None),
        ]
        assert len(theirs.told) == 1


@pytest.mark.parametrize(
    ("named", "advice"),
    [
        ("", "set agents.there.password_env to the variable that holds its password"),
        ("THEIRS", 'agents.there.password_env is "THEIRS": is that its password?'),
    ],
)
async def test_a_wrong_password_is_told_at_once_and_not_shown(tmp_path: Path, named: str, advice: str) -> None:
    async with open_pools(tmp_path / "theirs", fake_agent()) as theirs, theirs.pool.lease("/work") as their_lease:
        agent = Agent(name="there", attach=their_lease.endpoint.url, password_env=named)
        async with open_pools(tmp_path / "ours", agent, environ={"THEIRS": "guessed"}) as ours:
            with pytest.raises(ServerError) as caught:
                async with ours.pool.lease("/work"):
                    pass

    assert str(caught.value).startswith('agent "there": ') and str(caught.value).endswith(advice)
    assert "guessed" not in str(caught.value) and their_lease.endpoint.password not in str(caught.value)


async def test_that_nobody_listens_at_the_address_is_told_when_the_time_is_over(tmp_path: Path) -> None:
    agent = Agent(name="there", attach=f"http://127.0.0.1:{free_port()}", ready_within=0.1)
    async with open_pools(tmp_path, agent) as pools:
        with pytest.raises(ServerError, match=r'agent "there": .*is it running'):
            async with pools.pool.lease("/work"):
                pass


_SUPERVISOR = """
import sys, trio
from pathlib import Path
from tests.server_pools import fake_agent, open_pools

async def main():
    agent = fake_agent(tool=True, sessions_per_server=1)
    opened = open_pools(Path(sys.argv[1]), agent, fleet=sys.argv[2], durable=sys.argv[3] == "durable")
    async with opened as pools, pools.pool.lease("/a"), pools.pool.lease("/b"):
        print((await pools.ready()).pid, (await pools.ready(2)).pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


class _Refuses:
    """Calls of a server at whose address nobody is."""

    def __init__(self, _: Endpoint) -> None:
        pass

    async def health(self, deadline: float = 0.8) -> str:
        await trio.lowlevel.checkpoint()
        raise ServerError(f"nobody there after {deadline} s", "unreachable")

    async def session_status(self, directory: str) -> bytes:
        raise AssertionError(directory)

    async def abort(self, session: str) -> None:
        raise AssertionError(session)


async def test_who_waits_for_a_server_of_somebody_else_does_not_hold_up_a_stop(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    asks, _ = trio.open_memory_channel[KeeperAsk](1)
    agent = Agent(name="there", attach="http://127.0.0.1:1", ready_within=3600.0)
    host = Host(
        agent=agent,
        fleet=FleetId("f" * 32),
        environ={},
        keeper=asks,
        open_client=_Refuses,
        limiter=trio.CapacityLimiter(1),
    )
    pool = Pools(host, tmp_path, 120.0, 60.0).pool
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)

        async def want_a_place() -> None:
            with pytest.raises(ServerError, match='agent "there": nobody there'):
                async with pool.lease("/work"):
                    pass

        nursery.start_soon(want_a_place)
        await trio.sleep(100)
        pool.stop()

    assert trio.current_time() < 200


def _killed_supervisor(tmp_path: Path, fleet: str, kind: str) -> list[int]:
    """The pids of its two servers, of their tools, and of its keeper, all of which lived when it was killed."""
    command = [sys.executable, "-c", _SUPERVISOR, str(tmp_path), fleet, kind]
    with subprocess.Popen(command, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        servers = [int(pid) for pid in supervisor.stdout.readline().split()]
        files = [*(tmp_path / "fleet" / "agents").glob("*/1/tool"), tmp_path / "fleet" / "keeper.lock"]
        pids = [*servers, *(int(path.read_text()) for path in files)]
        assert len(pids) == 5 and all(map(is_alive, pids))
        supervisor.kill()
    return pids


def test_nothing_of_a_server_is_left_after_a_kill_of_callboard(tmp_path: Path) -> None:
    for pid in _killed_supervisor(tmp_path, uuid.uuid4().hex, "attached"):
        wait_until_gone(pid)


async def test_servers_of_durable_sessions_are_found_again_after_a_kill_of_callboard(tmp_path: Path) -> None:
    fleet = uuid.uuid4().hex
    pids = await trio.to_thread.run_sync(_killed_supervisor, tmp_path, fleet, "durable")
    agent = fake_agent(sessions_per_server=1)
    opened = open_pools(tmp_path, agent, fleet=fleet, durable=True, epoch=2)
    async with opened as pools, pools.pool.lease("/b", "oc-2") as second, pools.pool.lease("/a") as first:
        found = {state.server: state.pid for state in pools.told if isinstance(state, ServerReady)}
        assert [first.server, second.server] == ["oc-1", "oc-2"]
        assert set(found.values()) == set(pids[:2]) and all(map(is_alive, pids))
        os.kill(found["oc-1"], signal.SIGKILL)
        again = await pools.ready(3)
        assert (again.server, again.boot, again.endpoint) == ("oc-1", 2, first.endpoint)
        record = pools.folder / "oc-1" / "server.json"
        assert stat.S_IMODE(record.stat().st_mode) == 0o600

    for pid in pids:
        wait_until_gone(pid)


async def test_a_server_of_an_earlier_supervisor_that_is_gone_is_started_anew(tmp_path: Path) -> None:
    async with open_pools(tmp_path / "a", fake_agent(), durable=True) as pools, pools.pool.lease("/work") as lease:
        old = lease.endpoint
    (tmp_path / "a").rename(tmp_path / "b")
    async with open_pools(tmp_path / "b", fake_agent(), durable=True) as pools, pools.pool.lease("/work") as lease:
        ready = await pools.ready()

        assert (ready.boot, lease.endpoint != old) == (2, True)
