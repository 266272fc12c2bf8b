"""What a plan may say of agent servers, and what it is told of anything else."""

import pytest

from protocols.agents import Agent
from protocols.errors import PlanError
from protocols.plan_parser import parse_plan

TASK = '[[tasks]]\nid = "a"\nagent = "coder"\nprompt = "go"\n'
MANAGED = "belongs to a server that callboard starts itself; remove this key, or attach"


def agent(text: str) -> Agent:
    plan = parse_plan(f"{TASK}[agents.coder]\n{text}", "x.toml")
    assert plan.tasks[0].prompting is not None
    return plan.tasks[0].prompting.agent


def problems(text: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(f"{TASK}[agents.coder]\n{text}", "x.toml")
    return [problem.removeprefix("x.toml: agents.coder.") for problem in caught.value.problems]


def test_an_agent_about_which_nothing_is_said_is_one_server_that_callboard_starts() -> None:
    assert agent("") == Agent(name="coder", command=("opencode",), config="{}", sessions_per_server=0)


def test_a_managed_server_has_a_program_a_configuration_and_an_environment() -> None:
    text = """
        command = ["npx", "opencode"]
        env = { A = "b" }
        pass_env = ["ANTHROPIC_*"]
        sessions_per_server = 8
        ready_within = "1m"
        config = { model = "local/scripted", permission = { bash = "ask" } }
    """

    assert agent(text) == Agent(
        name="coder",
        command=("npx", "opencode"),
        env={"A": "b"},
        pass_env=("ANTHROPIC_*",),
        sessions_per_server=8,
        ready_within=60.0,
        config='{"model":"local/scripted","permission":{"bash":"ask"}}',
    )


@pytest.mark.parametrize("address", ["http://127.0.0.1:4096", "https://host.example/", "http://[::1]:80"])
def test_a_server_that_is_there_has_an_address_and_maybe_a_password_in_a_variable(address: str) -> None:
    assert agent(f'kind = "opencode"\nattach = "{address}"\npassword_env = "SECRET"') == Agent(
        name="coder", attach=address.rstrip("/"), password_env="SECRET"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind = "opncode"', 'kind: "opncode" is no kind of agent; did you mean "opencode"?'),
        ('kind = "x"', 'kind: "x" is no kind of agent; write "opencode"'),
        ('atach = "http://x"', 'atach: no such key; did you mean "attach"?'),
        (
            'attach = "localhost:4096"',
            'attach: "localhost:4096" is no address of a server; write it like "http://127.0.0.1:4096"',
        ),
        (
            'attach = "http://me:secret@x"',
            "attach: an address with a password would be seen by all; name its variable in password_env",
        ),
        (
            'password_env = "X"',
            "password_env: a server that callboard starts gets a password of its own; remove this key, or add attach",
        ),
        ('attach = "http://x"\ncommand = ["y"]', f"command: {MANAGED}"),
        ('attach = "http://x"\nconfig = {}', f"config: {MANAGED}"),
        ("command = []", 'command: empty; write the program, such as ["opencode"]'),
        ('config = "opencode.json"', "config: expected a table, got a string"),
        ("sessions_per_server = 0", "sessions_per_server: out of range; write a number from 1 to 1000000"),
        ('ready_within = "0s"', 'ready_within: "0s" is no time at all; write a longer one, or leave the key out'),
        (
            'env = { CALLBOARD_X = "1" }',
            "env.CALLBOARD_X: names that begin with CALLBOARD_ are callboard's own; choose another",
        ),
    ],
)
def test_a_mistake_is_told_with_what_to_do(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_a_name_that_is_no_safe_file_name_is_refused() -> None:
    with pytest.raises(PlanError, match=r'agents."../x": "../x" is not a safe name'):
        parse_plan(f'{TASK}[agents.coder]\n[agents."../x"]', "x.toml")
