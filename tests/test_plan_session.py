"""What the levels of a plan say of sessions, and what becomes of it."""

import pytest

from protocols.agents import Agent, PermissionRule, Prompting
from protocols.errors import PlanError
from protocols.plan import Stdin
from protocols.plan_parser import parse_plan

AGENTS = "[agents.coder]\n[agents.writer]\n"
NO_SESSION = "without a prompt there is no session; add prompt, or remove this key"
OF_PROCESS = "a session is no process and has no input but its prompts; remove this key"
WRITE_RULES = 'write { bash = "ask", "bash(git push*)" = "deny", otherwise = "deny" }'
OF_SERVER = "a session lives in its server, which has this; write it in [agents.NAME], or remove this key"


def prompting(text: str, levels: str = "") -> Prompting:
    task = parse_plan(f'{levels}[[tasks]]\nid = "a"\n{text}\n{AGENTS}', "x.toml").tasks[0]
    assert (task.source, task.command) == ("session", ())
    assert task.prompting is not None
    return task.prompting


def problems(text: str, levels: str = "") -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(f'{levels}[[tasks]]\nid = "a"\n{text}\n{AGENTS}', "x.toml")
    return [problem.removeprefix("x.toml: tasks[0].") for problem in caught.value.problems]


def test_a_prompt_and_an_agent_make_a_session() -> None:
    assert prompting('agent = "coder"\nprompt = "go"') == Prompting(agent=Agent(name="coder"), prompts=("go",))


def test_a_task_says_all_that_a_session_can_be_told() -> None:
    text = """
        agent = "writer"
        prompt = ["first", "second"]
        model = "local/scripted"
        mode = "plan"
        system = "be short"
        tools = { bash = false }
        [tasks.permissions]
        bash = "ask"
        "bash(git push*)" = "deny"
        otherwise = "allow"
        answer_within = "5m"
        unanswered = "allow"
    """

    assert prompting(text) == Prompting(
        agent=Agent(name="writer"),
        prompts=("first", "second"),
        model="local/scripted",
        mode="plan",
        system="be short",
        tools={"bash": False},
        permissions=(
            PermissionRule(reply="deny", tool="bash", pattern="git push*"),
            PermissionRule(reply="ask", tool="bash"),
        ),
        otherwise="allow",
        answer_within=300.0,
        unanswered="allow",
    )


def test_defaults_and_roles_are_filled_in_and_tools_and_permissions_add_up() -> None:
    levels = """
        [defaults]
        agent = "coder"
        model = "a/b"
        tools = { bash = true, edit = true }
        permissions = { bash = "deny", otherwise = "allow" }
        [roles.r]
        model = "c/d"
        tools = { bash = false }
        permissions = { bash = "allow", edit = "deny" }
    """

    found = prompting('role = "r"\nprompt = "go"', levels)

    assert (found.agent.name, found.model, found.tools) == ("coder", "c/d", {"bash": False, "edit": True})
    assert {rule.tool: rule.reply for rule in found.permissions} == {"bash": "allow", "edit": "deny"}
    assert found.otherwise == "allow"


def test_a_task_with_a_command_is_none_whatever_its_role_and_the_defaults_say() -> None:
    levels = '[defaults]\nagent = "coder"\nprompt = "go"\n'
    task = parse_plan(f'{levels}[[tasks]]\nid = "a"\ncommand = ["true"]\n{AGENTS}', "x.toml").tasks[0]

    assert (task.command, task.source, task.prompting) == (("true",), "pipe", None)


def test_a_task_with_a_prompt_takes_nothing_from_defaults_that_are_for_processes() -> None:
    levels = """
        [defaults]
        command = ["true"]
        shell = false
        source = "pty"
        window = "80x24"
        stdin = { text = "x" }
        limits = { memory = "1GB" }
        env = { A = "b" }
    """
    task = parse_plan(f'{levels}[[tasks]]\nid = "a"\nagent = "coder"\nprompt = "go"\n{AGENTS}', "x.toml").tasks[0]

    assert (task.source, task.command, task.stdin, task.env) == ("session", (), Stdin(), {})
    assert task.limits.memory is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('agent = "codr"\nprompt = "go"', ['agent: no agent "codr"; did you mean "coder"?']),
        ('agent = "zzz"\nprompt = "go"', ['agent: no agent "zzz"; add [agents.zzz]']),
        ('prompt = "go"', ["agent: missing; a prompt needs an agent, of which there are coder, writer"]),
        ('agent = "coder"', [f"agent: {NO_SESSION}"]),
        ('command = ["true"]\nmodel = "a/b"', [f"model: {NO_SESSION}"]),
        (
            'agent = "coder"\ncommand = ["true"]\nprompt = "go"',
            ["prompt: a task has a prompt or a command, not both; remove one of them"],
        ),
        ('agent = "coder"\nprompt = "go"\nsource = "session"', None),
        ('agent = "coder"\nprompt = "go"\ntmux = { adopt = "x" }', [f"tmux: {OF_PROCESS}"]),
        ('agent = "coder"\nprompt = "go"\nstdin = "pipe"', [f"stdin: {OF_PROCESS}"]),
        ('agent = "coder"\nprompt = "go"\nenv = { A = "b" }', [f"env: {OF_SERVER}"]),
        (
            'agent = "coder"\nprompt = "go"\nlimits = { nice = 1 }',
            ["limits: a session has no processes of its own; remove this key"],
        ),
        ('agent = "coder"\nprompt = []', ["prompt: empty; write what the session is to do"]),
        ('agent = "coder"\nprompt = ["a", " "]', ["prompt: empty; write what the session is to do"]),
        ('agent = "coder"\nprompt = 5', ["prompt: expected a list of strings, got a number"]),
        (
            'agent = "coder"\nprompt = "go"\nmodel = "sonnet"',
            ['model: "sonnet" is not PROVIDER/MODEL; write it like "anthropic/claude-sonnet-4-5"'],
        ),
        (
            'agent = "coder"\nprompt = "go"\ntools = { bash = "no" }',
            ["tools.bash: expected true or false, got a string"],
        ),
        (
            'agent = "coder"\nprompt = "go"\npermissions = { bash = "alow" }',
            ['permissions.bash: "alow" is no reply; did you mean "allow"?'],
        ),
        (
            'agent = "coder"\nprompt = "go"\npermissions = { "bash(" = "ask" }',
            [
                'permissions."bash(": neither a tool nor tool(pattern); ' + WRITE_RULES,
            ],
        ),
        (
            'agent = "coder"\nprompt = "go"\npermissions = { unanswered = "ask" }',
            ['permissions.unanswered: who could answer has not; write "allow" or "deny"'],
        ),
    ],
)
def test_a_mistake_is_told_with_what_to_do(text: str, expected: list[str] | None) -> None:
    told = problems(text)

    assert told == expected if expected is not None else all(line.startswith("source: ") for line in told)


def test_a_prompt_without_any_agent_in_the_plan_is_told_how_to_make_one() -> None:
    with pytest.raises(PlanError, match=r"a prompt needs an agent, of which there are none yet: add \[agents.NAME\]"):
        parse_plan('[[tasks]]\nid = "a"\nprompt = "go"', "x.toml")
