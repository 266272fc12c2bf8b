"""``callboard run --dry-run``: what would run, and nothing of it runs."""

import json
from pathlib import Path

import pytest

from tests.running import callboard, table, task

PLAN = (
    table("[defaults]", {"concurrency": 4}),
    table("[roles.tester]", {"concurrency": 1, "timeout": "5m"}),
    task("plan", ["touch", "ran"], output={"stdout_json": True}),
    task(
        "use",
        "echo {{ outputs.plan.title | shell_quote }}\necho {{ task }} {{ attempt }}\n",
        role="tester",
        env={"TITLE": "{{ outputs.plan.title }}", "TOKEN": "hidden", "ATTEMPT": "{{ attempt }}"},
        stdin={"text": "{% for each in outputs.plan.steps %}{{ each }}{% endfor %}"},
        needs=["plan"],
        retries=2,
    ),
)
SESSION = (
    table("[agents.here]", {"kind": "opencode", "attach": "http://127.0.0.1:4096"}),
    task("plan", "true", output={"stdout_json": True}),
    table(
        "[[tasks]]",
        {
            "id": "talk",
            "role": "planner",
            "agent": "here",
            "model": "local/small",
            "prompt": ["As {{ task }}, do {{ outputs.plan.title }}", "go on"],
            "needs": ["plan"],
            "timeout": "20m",
        },
    ),
)


def dry(tmp_path: Path, *parts: str, options: tuple[str, ...] = ()) -> str:
    (tmp_path / "plan.toml").write_text("\n".join(parts))
    return callboard(tmp_path, "run", "--dry-run", "plan.toml", *options).stdout


def test_each_task_is_shown_in_order_with_its_texts(tmp_path: Path) -> None:
    lines = dry(tmp_path, *PLAN).splitlines()

    assert lines[:3] == [
        "plan.toml: 2 tasks, at most 4 at once, 1 of role tester; nothing was started",
        "What stands in ‹…› is known only when its task starts.",
        "",
    ]
    assert [line for line in lines if line[:1].isdigit()] == ["1. plan", "2. use"]
    for line in (
        f"   cwd         {tmp_path}",
        "   gives       its stdout",
        "   command     touch ran",
        "   needs       plan",
        "   role        tester",
        "   timeout     5m, retries 2",
        "     echo ‹outputs.plan.title | shell_quote›",
        "     echo use 1",
        "     {% for each in outputs.plan.steps %}{{ each }}{% endfor %}",
        "   set         ATTEMPT=1, TITLE=‹outputs.plan.title›, TOKEN",
    ):
        assert line in lines
    assert "hidden" not in "".join(lines)


def test_nothing_is_started_and_nothing_is_written(tmp_path: Path) -> None:
    dry(tmp_path, *PLAN)
    dry(tmp_path, *PLAN, options=("--output", "json"))

    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]


def test_json_has_each_task_with_its_prompts_and_what_is_not_known_yet(tmp_path: Path) -> None:
    found = json.loads(dry(tmp_path, *SESSION, options=("--output", "json", "--durable")))

    assert [(each["id"], each["wave"], each["durable"]) for each in found["tasks"]] == [
        ("plan", 1, True),
        ("talk", 2, True),
    ]
    talk = found["tasks"][1]
    first, second = talk["session"]["prompts"]
    assert (first.endswith("\n\nAs talk, do ‹outputs.plan.title›"), second) == (True, "go on")
    assert (talk["session"]["agent"], talk["session"]["model"]) == ("here", "local/small")
    assert (talk["waits"], talk["problems"], talk["rules"]["timeout"]) == (["prompt[0]"], [], 1200)


def test_what_else_is_said_of_a_task_is_told(tmp_path: Path) -> None:
    plan = (
        task("give", "true", output={"stdout_json": True}),
        task(
            "after",
            "true",
            needs=["give", {"task": "late", "on": "failure"}],
            priority=3,
            labels=["disk"],
            timeout="10m",
            quiet_timeout="1m",
            retries=1,
            retry={"timeout": 0},
            workspace="folder",
        ),
        task("late", "true"),
    )
    lines = dry(tmp_path, *plan).splitlines()

    for line in (
        "   needs       give, late (if it fails)",
        "   priority    3",
        "   labels      disk",
        "   timeout     10m, 1m without a word, retries 1, 0 for timeout",
        "   workspace   a folder of its own",
    ):
        assert line in lines


def test_a_task_for_each_item_and_what_holds_for_the_run_are_told(tmp_path: Path) -> None:
    plan = (
        table("[defaults]", {"on_failure": "stop", "budget": {"time": "2h"}}),
        table("[labels.gpu]", {"concurrency": 1}),
        task("give", "true", output={"stdout_json": True}),
        task(
            "build",
            ["echo", "{{ task }}", "{{ item.code }}"],
            for_each={"from": "give", "key": "code"},
            counts_waiting=False,
            budget={"time": "5m", "attempts": 3},
        ),
        task("after", "true", needs=[{"task": "build", "on": "end"}]),
        task("service", "true", restart="on-failure"),
    )
    said = dry(tmp_path, *plan)

    for line in (
        "plan.toml: 4 tasks, at most 16 at once, 1 with label gpu; nothing was started",
        "The first failure that is not allowed stops the run.",
        "Budget of the run: time 2h (told at 1h36m).",
        "   timeout     none, waiting does not count, retries 0",
        "   budget      time 5m (told at 4m), attempts 3",
        "   command     echo '‹task›' '‹item.code›'",
        "   needs       build (however it ends)",
        "   timeout     none, restarted on-failure",
    ):
        assert line in said.splitlines()
    each = "for each a task build[code] for each item at $[*] in the output of give, at most 1000"
    assert each in " ".join(said.split())


def test_a_template_that_would_fail_its_task_is_told(tmp_path: Path) -> None:
    said = dry(tmp_path, task("a", "echo {{ 1 / (attempt - 1) }}"))

    assert 'problem     it would fail: command: "echo {{ 1 / (attempt - 1) }}": division by zero' in said


@pytest.mark.parametrize(
    "plan",
    [
        task("a", ["no-such-program"]),
        task("a", "echo {{ outputs.b.c }}"),
        task("a", "true", needs=["b"]) + task("b", "true", needs=["a"]),
        task("a", "true", output={"file": "x", "schema": "missing.json"}),
    ],
)
def test_mistakes_are_those_that_check_tells(tmp_path: Path, plan: str) -> None:
    (tmp_path / "plan.toml").write_text(plan)

    said = callboard(tmp_path, "run", "--dry-run", "plan.toml", code=2)

    assert said.stderr == callboard(tmp_path, "check", "plan.toml", code=2).stderr
    assert said.stdout == ""
