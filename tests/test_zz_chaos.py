import os, random
from pathlib import Path
import pytest, trio
from protocols.agents import Agent
from protocols.session_events import SessionEnded, SessionPrompted, SessionStarted
from tests.fault_proxy import faults, open_proxy
from tests.model_script import run, say, script, think
from tests.opencode import open_opencode
from tests.scripted_model import open_model
from tests.session_desk import open_desk
from tests.test_session_faults import texts
pytestmark = [pytest.mark.opencode, pytest.mark.deadline(200)]
FIRST = int(os.environ.get("FIRST", "0"))

@pytest.mark.parametrize("seed", range(FIRST, FIRST + int(os.environ.get("N", "4"))))
async def test_chaos(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with open_model() as model, open_opencode(tmp_path / "s", model.url) as server:
        work = tmp_path / "work"; work.mkdir()
        prompts = [[script(think("so "), say(f"{n} says this. ", times=40, size=9), run("sleep 0.5; echo x"), say("End.")), script(say(f"{n} says more."))] for n in range(2)]
        async with open_proxy(server.port, faults(seed, 4), seed) as proxy:
            agent = Agent(name="coder", attach=proxy.url, password_env="SECRET")
            env = {"SECRET": server.password}
            history = [[], []]
            current = None
            rounds = rng.randint(1, 3)
            for r in range(rounds + 1):
                last = r == rounds
                async with open_desk(tmp_path / "fleet", agent, work, environ=env, patience=3.0, look_every=0.5) as desk:
                    if current is None:
                        current = [await desk.spawn(*p) for p in prompts]
                    else:
                        old, current = current, []
                        for c, p in zip(old, prompts):
                            if any(type(x).__name__ == "Ended" for x in c.reports): current.append(c); continue
                            n = await desk.resume(c, *p); n.reports[:0] = c.reports; current.append(n)
                    for c in current: assert c.answer.error is None, c.answer
                    if not last:
                        await trio.sleep(rng.random() * 4)
                        if rng.random() < 0.5:
                            print(seed, "server killed"); await trio.to_thread.run_sync(server.kill); await trio.to_thread.run_sync(server.start)
                            await trio.sleep(rng.random())
                        for c in current:
                            for _ in range(rng.choice([0, 3, 1000])):
                                try: c.reports.append(c.inbox.receive_nowait())
                                except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError): break
                        for h, c in zip(history, current): h.append(c)
                        print(seed, "desk left"); await desk.leave()
                    else:
                        for h, c in zip(history, current): h.append(c)
                        with trio.fail_after(100):
                            ended = [await c.end() for c in current]
            for n, h in enumerate(history):
                h = h[-1:]
                ev = [e for c in h for e in c.events]
                prompted = [e.message for e in ev if isinstance(e, SessionPrompted)]
                ends = [(e.message, e.outcome) for e in ev if isinstance(e, SessionEnded)]
                print(seed, n, prompted, ends, ended[n].reason, ended[n].detail)
                assert len({m for m, _ in ends}) == len(ends)
                assert len(set(prompted)) == len(prompted)
                session = next(e for e in ev if isinstance(e, SessionStarted)).session
                said = server.ask(f"/session/{session}/message")
                users = [m["info"]["id"] for m in said if m["info"]["role"] == "user"]
                assert users == prompted, (users, prompted)
                assert [m for m, _ in ends] == prompted
                for m in said:
                    if m["info"]["role"] == "user": assert len(m["parts"]) <= 1, m
                if all(o == "completed" for _, o in ends):
                    assert len(ends) == 2
                    for t in texts(said): assert t in h[-1].spool, t
                assert ended[n].session_bytes == len(h[-1].spool.encode())
