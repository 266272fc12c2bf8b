"""What README.md and configs/ show to users is accepted by the program, and what they name is there."""

import json
import re
from pathlib import Path

import pytest

from actors.json_schema import find_violations, read_schema
from protocols.graph import waves
from protocols.manifest import find_manifest
from protocols.plan_parser import parse_plan
from supervisor.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PLAN, SETTINGS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


def test_the_plan_is_a_plan() -> None:
    plan = parse_plan(PLAN, "README.md")

    assert [task.id for task in plan.tasks] == ["lint", "tests", "pack"]
    assert (plan.tasks[0].retries, plan.concurrency, plan.role_concurrency) == (1, 4, {"checker": 2})


def test_the_settings_are_all_there_are_with_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "callboard.toml").write_text(SETTINGS)

    assert load_settings(tmp_path, config=tmp_path / "callboard.toml") == Settings(state=tmp_path / ".callboard")


def test_the_tests_that_prove_the_promises_are_there() -> None:
    named = re.findall(r"`(test_\w+\.py)`", README)

    assert len(named) > 10
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_each_plan_of_configs_is_a_plan(path: Path) -> None:
    named = find_manifest(path.read_text())
    manifest = (ROOT / named).read_bytes() if named else None

    assert parse_plan(path.read_text(), path.name, manifest=manifest).tasks


def test_the_manifest_of_configs_is_as_its_schema_says_and_has_eight_roots_one_dependent_and_a_fan_out() -> None:
    manifest, schema = ((ROOT / "configs" / name).read_bytes() for name in ("manifest.json", "manifest.schema.json"))
    plan = parse_plan((ROOT / "configs" / "manifest.toml").read_text(), "manifest.toml", manifest=manifest)

    assert find_violations(json.loads(manifest), read_schema(schema)) == ()
    assert [len(wave) for wave in waves(plan.needs())] == [8, 1, 1, 1]
    assert [task.id for task in plan.tasks if task.for_each is not None] == ["itp"]


def test_the_quickstart_has_six_tasks_in_three_waves_and_a_retry() -> None:
    plan = parse_plan((ROOT / "configs" / "quickstart.toml").read_text(), "quickstart.toml")
    depth: dict[str, int] = {}
    for task in plan.tasks:
        depth[task.id] = 1 + max((depth[need] for need in task.needs), default=0)

    assert len(plan.tasks) >= 6
    assert max(depth.values()) == 3
    assert any(task.retries for task in plan.tasks)
