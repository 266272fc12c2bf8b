"""What the check of a plan tells of its sessions."""

from protocols.plan_parser import parse_plan
from supervisor.session_survey import render_sessions, survey_sessions

OURS = "ours: a server that is started for the run (opencode serve), another one beyond 4 sessions"
PLAN = """
[agents.mine]
attach = "http://127.0.0.1:4096"
[agents.ours]
sessions_per_server = 4
[defaults]
agent = "mine"
permissions = { bash = "ask", "bash(git push*)" = "deny" }
[[tasks]]
id = "a"
prompt = "one"
[[tasks]]
id = "b"
prompt = ["two", "three"]
[[tasks]]
id = "c"
agent = "ours"
prompt = "four"
model = "x/y"
mode = "plan"
tools = { bash = false }
[[tasks]]
id = "d"
command = ["true"]
"""


def test_tasks_that_want_the_same_are_told_together() -> None:
    found = survey_sessions(parse_plan(PLAN, "x.toml").tasks)

    assert list(render_sessions(found)) == [
        ("sessions: ", "a, b"),
        ("  on ", "mine: the server at http://127.0.0.1:4096, which is there"),
        (
            "  permissions: ",
            'bash(git push*) "deny", bash "ask", what else the server asks "deny"; nobody answers within 5m: "deny"',
        ),
        ("sessions: ", "c"),
        (
            "  on ",
            f"{OURS}; model x/y; mode plan; without the tool bash",
        ),
        (
            "  permissions: ",
            'bash(git push*) "deny", bash "ask", what else the server asks "deny"; nobody answers within 5m: "deny"',
        ),
    ]
