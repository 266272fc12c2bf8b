"""What templates of a plan name and the schemas of its outputs, checked before anything starts."""

import json
from pathlib import Path

import pytest

from protocols.errors import PlanError
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from supervisor.plan_texts import keep_schemas
from supervisor.plans import LoadedPlan, load_plan
from tests.running import task

BASE = {"PATH": "/usr/bin:/bin"}
GIVER = task("my-plan", "true", output={"stdout_json": True})
BETWEEN = task("between", "true", needs=["my-plan"])
SAYER = task("said", ["-"], agent="coder", prompt="Go.", output={"last_message": True}).replace('command = ["-"]\n', "")
AGENT = '[agents.coder]\nattach = "http://127.0.0.1:1"\n'


def load(folder: Path, *parts: str, **options: object) -> LoadedPlan:
    (folder / "x.toml").write_text("\n".join(parts))
    return load_plan(Path("x.toml"), folder, base=BASE, **options)  # type: ignore[arg-type] # as the test names them


def problems(folder: Path, *parts: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        load(folder, *parts)
    return [line.removeprefix("x.toml: ") for line in caught.value.problems]


def test_those_that_a_task_uses_are_known_through_others_too(tmp_path: Path) -> None:
    text = "{{ outputs['my-plan'].x }} {{ outputs.said }} {{ outputs['my-plan'].y }}"
    use = task("use", ["echo", text], needs=["between", "said"])

    loaded = load(tmp_path, AGENT, GIVER, BETWEEN, SAYER, use)

    assert [each.uses for each in loaded.plan.tasks] == [(), (), (), (TaskId("my-plan"), TaskId("said"))]


@pytest.mark.parametrize(
    ("use", "problem"),
    [
        (
            task("use", ["echo", "{{ outputs.plan.x }}"], needs=["my-plan"]),
            'command[1]: outputs has no task "plan"; did you mean "my-plan"?',
        ),
        (
            task("use", "echo {{ outputs['my-plan'].x }}"),
            'command: "my-plan" may not be done by then; add it to needs',
        ),
        (
            task("use", "true", env={"X": "{{ outputs.between.x }}"}, needs=["between"]),
            'env.X: task "between" has no output; add output to it',
        ),
        (
            task("use", "cat", stdin={"text": "{{ outputs.said.x }}"}, needs=["said"]),
            'stdin.text: the last message of "said" is text, without fields; add schema to its output',
        ),
        (
            task("use", "echo {{ outputs.use.x }}", output={"stdout_json": True}),
            "command: outputs.use is its own, which is not there yet; last_failure is",
        ),
        (
            task("use", ["{{ task }}", "x"], template=True),
            (
                'command[0]: what is run has to be known before; write ["/bin/sh", "-c", …], or braces that are meant '
                "as they are need template = false"
            ),
        ),
        (
            task("use", "true", env={"PATH": "{{ task }}"}),
            (
                "env.PATH: where programs are has to be known before; write it out, or braces that are meant as they "
                "are need template = false"
            ),
        ),
        (
            task("use", ["echo", "{{ itm }}"], template=True),
            'command[1]: "itm" is nothing here; there is outputs, attempt, last_failure, task and workspace',
        ),
    ],
)
def test_what_can_be_known_to_be_wrong_is_told_with_advice(tmp_path: Path, use: str, problem: str) -> None:
    assert f"tasks[3].{problem}" in problems(tmp_path, AGENT, GIVER, BETWEEN, SAYER, use)


@pytest.mark.parametrize("said", [{}, {"template": False}])
def test_braces_of_others_are_no_templates(tmp_path: Path, said: dict[str, object]) -> None:
    text = "{{ .Names }} ${{ github.ref }}" + (" {{ task }" if said else "")

    assert load(tmp_path, task("a", ["echo", text], **said)).plan.tasks[0].command[1] == text


def test_paths_of_outputs_count_from_where_callboard_was_started(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}")

    loaded = load(tmp_path, task("a", "true", cwd="/", output={"file": "x.json", "schema": "s.json"}))

    output = loaded.plan.tasks[0].output
    assert output is not None
    assert (output.path, output.schema) == (str(tmp_path / "x.json"), str(tmp_path / "s.json"))
    assert loaded.schemas == {str(tmp_path / "s.json"): b"{}"}


def test_a_run_has_its_schemas_whatever_becomes_of_the_files(tmp_path: Path) -> None:
    giver = task("a", "true", output={"file": "x.json", "schema": "s.json"})
    (tmp_path / "s.json").write_text(json.dumps({"type": "object"}))
    run = FleetFolder(tmp_path / "run")
    run.root.mkdir()
    before = load(tmp_path, giver)
    keep_schemas(run, before.schemas)
    (tmp_path / "s.json").unlink()

    assert load(tmp_path, giver, kept=run).schemas == before.schemas
    assert load(tmp_path, giver, leave=[TaskId("a")]).schemas == {}


@pytest.mark.parametrize("key", ["nudge", "warning", "system"])
def test_a_text_that_is_no_template_and_looks_like_one_is_told(tmp_path: Path, key: str) -> None:
    text = {key: "on {{ task }}, please"}
    keys = {"stdin": "pipe", "timeout": "1m", "warn_before": "9s"} if key != "system" else {}
    words = {"prompt": "Go.", "agent": "coder"} if key == "system" else {}
    said = task("a", "true", **keys, **words, **text)
    plan = said.replace('command = "true"\nshell = true\n', "") if words else said

    (problem,) = problems(tmp_path, AGENT, plan)

    assert problem.startswith(f"tasks[0].{key}: this text is no template; put that into the prompt")
    assert load(tmp_path, AGENT, f"{plan}\ntemplate = false\n")
