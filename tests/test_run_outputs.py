"""Tasks that give something to others and tasks that use it, from the command line."""

import json
import stat
from pathlib import Path

import pytest

from protocols.events import AttemptStarting, TaskStatusChanged, WorkerExited, WorkerStarted
from protocols.task_output import TaskOutput
from tests.detached import DURABLE, kill
from tests.process_trees import wait_until
from tests.running import callboard, resumed, running, task

SCHEMA = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
NOT_AS_IT_SAYS = "not as its schema says: $.title: 5 is not of type 'string'"
JSON = {"stdout_json": True}


def test_what_a_task_prints_is_in_the_command_the_environment_and_the_stdin_of_another(tmp_path: Path) -> None:
    given = {"title": "it's $HOME", "steps": [1, 2]}
    plan = (
        task("plan", ["echo", json.dumps(given)], output=JSON),
        task("between", "true", needs=["plan"]),
        task(
            "use",
            'printf "%s|" {{ outputs.plan.title | shell_quote }} "$STEPS"; cat',
            env={"STEPS": "{{ outputs.plan.steps }}"},
            stdin={"text": "{% for step in outputs.plan.steps %}<{{ step }}>{% endfor %}"},
            needs=["between"],
        ),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.spool("use") == b"it's $HOME|[1, 2]|<1><2>"
        (starting,) = run.events(AttemptStarting, "use")
        assert starting.argv[-1] == """printf "%s|" 'it'"'"'s $HOME' "$STEPS"; cat"""
        (output,) = run.events(TaskOutput)
        copy = run.folder.root / output.path
        assert (json.loads(copy.read_bytes()), stat.S_IMODE(copy.stat().st_mode)) == (given, 0o600)
        assert run.task("plan").output is not None
        assert f"Output of plan: {len(json.dumps(given)) + 1} B of JSON in spool/plan/1/output" in (
            run.folder.report_markdown.read_text()
        )


def test_an_output_that_its_schema_does_not_allow_fails_the_attempt_and_the_next_one_is_told_why(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.schema.json").write_text(json.dumps(SCHEMA))
    command = """
        printf %s {{ last_failure | shell_quote }}
        [ {{ attempt }} = 1 ] && title=5 || title='"fine"'
        echo "{\\"title\\": $title}" > x.json
    """
    output = {"file": "x.json", "schema": "x.schema.json"}
    plan = (
        task("plan", command, output=output, retries=1, backoff="0s"),
        task("use", ["echo", "{{ outputs.plan.title }}"], needs=["plan"]),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        assert [end.reason for end in run.events(WorkerExited, "plan")] == ["output", "exit"]
        told = f"output: {tmp_path}/x.json: {NOT_AS_IT_SAYS}"
        assert [event.reason for event in run.events(TaskStatusChanged, "plan")] == ["", told, "", ""]
        assert run.spool("plan", 2) == told.encode()
        assert run.spool("use") == b"fine\n"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("true", "it is missing"),
        ("head -c 2000 /dev/zero > x.json", "larger than its max_output of 1.0 kB"),
        ('printf \'{"a": 1,\\n "b" 2}\' > x.json', "not JSON at line 2, column 6: expected ':'"),
        ("printf '%0600d' 0 | tr 0 '[' > x.json", "not JSON"),
        ("printf '%0200d%0200d' 0 1 | tr 01 '[]' > x.json", "not JSON"),
        ("mkfifo x.json", "is no file"),
        ("mkdir x.json", "is no file"),
    ],
)
def test_an_output_that_cannot_be_used_fails_its_task_and_says_why(tmp_path: Path, command: str, problem: str) -> None:
    with running(tmp_path, task("a", command, output={"file": "x.json", "max_output": "1kB"})) as run:
        run.finish(1)

        assert run.task("a").reason.startswith(f"output: {tmp_path}/x.json: {problem}")
        assert (run.task("a").output, run.events(TaskOutput)) == (None, [])


def test_an_output_that_an_attempt_before_left_is_none_of_this_one(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('"of another run"')
    command = "case {{ attempt }} in 2) echo 5 > x.json; exit 1;; 4) echo 6 > x.json;; esac"
    with running(tmp_path, task("a", command, output={"file": "x.json"}, retries=3, backoff="0s")) as run:
        run.finish()

        older = "x.json: it is missing: what is there is older than this attempt; write it anew"
        told = [event.reason for event in run.events(TaskStatusChanged, "a") if event.status == "retrying"]
        assert told == [f"output: {tmp_path}/{older}", "exit code 1", f"output: {tmp_path}/{older}"]
        (output,) = run.events(TaskOutput)
        assert (output.attempt, (run.folder.root / output.path).read_text()) == (4, "6\n")


def test_a_field_that_is_not_there_fails_the_task_before_it_starts_and_is_named(tmp_path: Path) -> None:
    plan = (
        task("plan", ["echo", '{"title": 1}'], output=JSON),
        task("use", ["echo", "{{ outputs.plan.titel }}"], needs=["plan"], retries=3),
    )
    with running(tmp_path, *plan) as run:
        run.finish(1)

        missing = 'outputs.plan has no field "titel"; did you mean "title"?'
        assert run.task("use").reason == f"not started: command[1]: {{{{ outputs.plan.titel }}}}: {missing}"
        assert not run.events(WorkerStarted, "use")
        assert len(run.task("use").attempts) == 1  # another one would fail like it


def test_braces_that_name_nothing_of_callboard_stay_as_they_are(tmp_path: Path) -> None:
    texts = ["{{ .Names }}", "{{ task.name }}", "${{ github.ref }}", "{% comment %}", "{{ outputs", "{{ .task }}"]
    with running(tmp_path, task("a", ["printf", r"%s\n", *texts[:4], texts[5]])) as run:
        run.finish()

        assert run.spool("a").decode().splitlines() == [*texts[:4], texts[5]]


def test_a_run_that_is_killed_between_giver_and_user_goes_on_with_what_was_given(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    give = 'echo given >> log; echo \'{"title": "once"}\' > x.json'
    plan = (
        task("give", give, output={"file": "x.json", "schema": "s.json"}),
        task("gate", "while [ ! -e go ]; do sleep 0.01; done", needs=["give"]),
        task("use", ["echo", "{{ outputs.give.title }}"], needs=["gate"]),
    )
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.wait_for(WorkerStarted, "gate")
        kill(run)
        for name in ("x.json", "s.json"):
            (tmp_path / name).unlink()  # what was given lies with the run
        (tmp_path / "go").touch()
        with resumed(tmp_path) as again:
            again.finish()

            assert again.spool("use") == b"once\n"
            assert (tmp_path / "log").read_text() == "given\n"
            assert len(again.events(TaskOutput)) == 1


def test_an_output_is_read_by_who_goes_on_where_its_giver_ended_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    give = "while [ ! -e go ]; do sleep 0.01; done; echo '{\"title\": 5}'; touch done"
    plan = task("give", give, output={**JSON, "schema": "s.json"})
    with running(tmp_path, plan, options=DURABLE) as run:
        run.wait_for(WorkerStarted, "give")
        kill(run)
        (tmp_path / "s.json").unlink()
        (tmp_path / "go").touch()
        wait_until((tmp_path / "done").exists)
        with resumed(tmp_path) as again:
            again.finish(1)

            assert again.task("give").reason == f"output: its stdout: {NOT_AS_IT_SAYS}"


def test_check_tells_who_gives_what_to_whom(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}")
    plan = (
        task("plan", "true", output={"file": "x.json", "schema": "s.json"}),
        task("use", "echo {{ outputs.plan.title }}", needs=["plan"]),
        task("other", "true", output=JSON),
    )
    (tmp_path / "plan.toml").write_text("\n".join(plan))

    said = " ".join(callboard(tmp_path, "check", "plan.toml").stdout.split())

    assert f"plan gives: {tmp_path}/x.json, checked by {tmp_path}/s.json, to use" in said
    assert "other gives: its stdout, to nobody yet" in said
    assert "note: use: its shell runs what comes of its templates; write {{ … | shell_quote }} for one word" in said


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (None, "tasks[0].output.schema: {path}: no such file; correct the path"),
        ("{", "tasks[0].output.schema: {path}: not JSON at line 1, column 2: it ends too early"),
        ('{"type": "objekt"}', "tasks[0].output.schema: {path}: no schema: $.type: 'objekt' is not valid under any"),
    ],
)
def test_a_schema_that_cannot_be_used_keeps_the_run_from_starting(
    tmp_path: Path, schema: str | None, problem: str
) -> None:
    if schema is not None:
        (tmp_path / "s.json").write_text(schema)
    (tmp_path / "plan.toml").write_text(task("a", "true", output={"file": "x.json", "schema": "s.json"}))

    for command in ("check", "run"):
        assert problem.format(path=tmp_path / "s.json") in callboard(tmp_path, command, "plan.toml", code=2).stderr
    assert not list(tmp_path.glob(".callboard/*/journal*"))
