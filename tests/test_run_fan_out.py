"""One task for each item of what another one gave, from the command line."""

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from protocols.events import AttemptStarting, TaskStatusChanged, WorkerStarted
from protocols.task_events import TasksAdded
from tests.detached import DURABLE, kill
from tests.process_trees import wait_until
from tests.running import RunningPlan, callboard, resumed, running, table, task

JSON = {"stdout_json": True}
EACH = {"from": "give", "path": "$.itps[*]", "key": "code"}
WAIT = "until [ -e go ]; do sleep 0.01; done"


def give(*items: object) -> str:
    """A task that gives these."""
    return task("give", ["echo", json.dumps({"itps": items})], output=JSON)


def codes(*keys: object) -> list[object]:
    return [{"code": key} for key in keys]


def statuses(run: RunningPlan, names: Collection[str] | None = None) -> dict[str, str]:
    return {each.id: each.status for each in run.report.tasks if names is None or each.id in names}


def test_each_item_has_a_task_with_what_it_says_and_who_needs_them_has_all_that_they_gave(tmp_path: Path) -> None:
    plan = (
        give({"code": "A-12", "title": "it's"}, {"code": "B/1", "title": "ü"}),
        task(
            "build",
            'cat >&2; echo {"\\"$T\\": $N"}',
            for_each=EACH,
            env={"T": "{{ item.title }}", "N": "{{ attempt }}"},
            stdin={"text": "{{ item.code }} of {{ outputs.give.itps | length }} is {{ task }}"},
            output=JSON,
        ),
        task("sum", ["echo", "{{ outputs.build }} {{ outputs.build['B/1'] }}"], needs=["build"]),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.spool("build[A-12]", stream="stderr") == b"A-12 of 2 is build[A-12]"
        given = {"A-12": {"it's": 1}, "B/1": {"ü": 1}}
        assert (
            run.spool("sum").decode()
            == f"{json.dumps(given, ensure_ascii=False)} {json.dumps(given['B/1'], ensure_ascii=False)}\n"
        )
        assert [each.id for each in run.report.tasks] == ["give", "build", "build[A-12]", "build[B%2F1]", "sum"]
        assert run.task("build").reason == "2 items"
        (added,) = run.events(TasksAdded)
        assert (added.task, added.source, added.tasks) == ("build", "give", ("build[A-12]", "build[B%2F1]"))
        assert callboard(tmp_path, "logs", run.fleet.name, "build[A-12]").stdout == '{"it\'s": 1}\n'


def test_no_items_are_no_tasks_and_who_waits_for_them_goes_on(tmp_path: Path) -> None:
    plan = (
        give(),
        task("build", "false", for_each=EACH, output=JSON),
        task("sum", ["echo", "{{ outputs.build }}"], needs=["build"]),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        assert (run.task("build").status, run.task("build").reason) == ("succeeded", "no items")
        assert run.spool("sum") == b"{}\n"


def test_a_bad_item_fails_with_what_is_wrong_and_the_others_go_on(tmp_path: Path) -> None:
    plan = (
        give({"code": "A"}, {"cod": "B"}, {"code": "A"}, {"code": "D"}),
        task("build", ["echo", "{{ item.code }}"], for_each=EACH),
        task("sum", "true", needs=["build"]),
        task("mend", "true", needs=[{"task": "build", "on": "failure"}]),
    )
    with running(tmp_path, *plan) as run:
        run.finish(1)

        assert statuses(run) == {
            "give": "succeeded",
            "build": "failed",
            "build[A]": "succeeded",
            "build[#2]": "failed",
            "build[#3]": "failed",
            "build[D]": "succeeded",
            "sum": "skipped",
            "mend": "succeeded",
        }
        assert run.task("build[#2]").reason == 'item 2 of "give": no code in it, which is to be its key'
        assert run.task("build[#3]").reason == 'item 3 of "give": its key "A" is that of item 1 too'
        assert run.task("build").reason == "2 of 4 items failed: build[#2], build[#3]"
        assert run.task("sum").reason == 'needs "build", which failed'
        assert run.task("build[#2]").attempts == ()


@pytest.mark.parametrize(
    ("items", "each", "reason"),
    [
        (codes(1, 2, 3), {**EACH, "limit": 2}, '3 items at $.itps[*] of "give", its limit is 2; is the path right?'),
        (codes(1), {**EACH, "path": "$.itp[*]"}, '$.itp[*] leads nowhere in the output of "give"; correct the path'),
    ],
)
def test_where_the_items_are_a_mistake_none_of_them_is_made(
    tmp_path: Path, items: list[object], each: dict[str, object], reason: str
) -> None:
    with running(tmp_path, give(*items), task("build", "true", for_each=each)) as run:
        run.finish(1)

        assert run.task("build").reason.startswith(reason)
        assert statuses(run) == {"give": "succeeded", "build": "failed"}


def test_an_item_that_may_fail_is_left_out_of_what_the_others_gave(tmp_path: Path) -> None:
    command = 'echo "{{ attempt }}"; [ {{ item.code }} != 2 ]'
    plan = (
        give(*codes(1, 2, 3)),
        task("build", command, for_each=EACH, allow_failure=True, retries=1, backoff="0s", output=JSON),
        task("sum", ["echo", "{{ outputs.build }}"], needs=["build"]),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.spool("sum") == b'{"1": 1, "3": 1}\n'
        assert run.task("build").reason == "1 of 3 items failed: build[2]"
        assert len(run.task("build[2]").attempts) == 2


def test_a_path_that_an_item_says_is_its_own_and_one_that_it_does_not_is_told(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "run").write_text(f"#!/bin/sh\necho '\"{name}\"' > out.json")
        (tmp_path / name / "run").chmod(0o700)
    each = {"from": "give", "path": "$.itps[*]"}
    plan = (
        task("give", ["echo", json.dumps({"itps": [{"k": "a"}, {"k": "b"}, {"k": "c", "x": 1}]})], output=JSON),
        task(
            "build",
            ["./run"],
            for_each={**each, "key": "k"},
            cwd="{{ item.k }}",
            output={"file": "{{ item.k }}/out.json"},
        ),
        task("other", "true", for_each={**each, "key": "k"}, cwd="{{ '.' if item.x else item.x }}", allow_failure=True),
        task("sum", ["echo", "{{ outputs.build }}"], needs=[{"task": "build", "on": "end"}]),
    )
    with running(tmp_path, *plan) as run:
        run.finish(1)

        assert run.spool("sum") == b'{"a": "a", "b": "b"}\n'
        assert "c" in run.task("build[c]").reason and run.task("build[c]").status == "failed"
        assert statuses(run, ["other[a]", "other[c]"]) == {"other[a]": "failed", "other[c]": "succeeded"}
        assert run.task("other[a]").reason == 'cwd: {{ item.x }}: item has no field "x"; its fields: k'


def test_items_of_items_are_made_when_the_first_have_given_them(tmp_path: Path) -> None:
    plan = (
        give(*codes("x", "y")),
        task("plan", ["echo", '["{{ item.code }}1", "{{ item.code }}2"]'], for_each=EACH, output=JSON),
        task("build", ["echo", "{{ item }}"], for_each={"from": "plan", "path": "$.*[*]"}),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        built = [each.id for each in run.report.tasks if each.id.startswith("build[")]
        assert built == ["build[x1]", "build[x2]", "build[y1]", "build[y2]"]


def test_items_keep_the_caps_and_the_stop_of_a_failure_of_their_plan(tmp_path: Path) -> None:
    plan = (
        '[defaults]\non_failure = "stop"\n[labels.one]\nconcurrency = 1',
        give(*codes(*range(4))),
        task(
            "build",
            "mkdir lock || exit 1; sleep 0.02; rmdir lock; [ {{ item.code }} != 2 ]",
            for_each=EACH,
            labels=["one"],
        ),
        task("sum", "true", needs=["build"]),
    )
    with running(tmp_path, *plan) as run:
        run.finish(1)

        assert statuses(run) == {
            "give": "succeeded",
            "build": "stopped",
            "build[0]": "succeeded",
            "build[1]": "succeeded",
            "build[2]": "failed",
            "build[3]": "stopped",
            "sum": "stopped",
        }


@pytest.mark.parametrize("options", [(), DURABLE], ids=["attached", "durable"])
@pytest.mark.parametrize("ledger", ["kept", "lost"])
def test_a_killed_run_goes_on_with_its_items_and_none_is_made_twice_or_missing(
    tmp_path: Path, options: tuple[str, ...], ledger: str
) -> None:
    command = f"[ {{{{ item.code }}}} -lt 3 ] || {WAIT}; echo {{{{ item.code }}}} >> done; echo {{{{ item.code }}}}"
    plan = (
        "[defaults]\nconcurrency = 2",
        give(*codes(*range(8)), {"cod": 5}),
        task("build", command, for_each=EACH, output=JSON, allow_failure=True),
        task("sum", ["echo", "{{ outputs.build.values() | sum }}"], needs=["build"]),
    )
    with running(tmp_path, *plan, options=options) as run:
        run.wait_for(WorkerStarted, "build[4]")
        kill(run)
        if not options:
            wait_until(lambda: not run.marked())
        if ledger == "lost":
            for path in run.folder.root.glob("ledger.sqlite3*"):
                path.unlink()
        (tmp_path / "go").touch()
        with resumed(tmp_path) as again:
            again.finish()

            assert sorted((tmp_path / "done").read_text().split()) == [str(number) for number in range(8)]
            assert again.spool("sum") == b"28\n"
            assert len(again.events(TasksAdded)) == 1
            ends = [event.task for event in again.events(TaskStatusChanged) if event.status in {"succeeded", "failed"}]
            assert sorted(ends) == sorted(each.id for each in again.report.tasks)
            begun = {event.worker for event in again.events(AttemptStarting)}
            assert begun == {"give", "sum", *(f"build[{number}]" for number in range(8))}
            assert again.task("build").reason == "1 of 9 items failed: build[#9]"


def test_check_tells_of_what_the_items_are(tmp_path: Path) -> None:
    plan = (give(), task("build", ["echo", "{{ item.code }}"], for_each={**EACH, "limit": 50}))
    (tmp_path / "plan.toml").write_text("\n".join(plan))

    said = " ".join(callboard(tmp_path, "check", "plan.toml").stdout.split())
    dry = callboard(tmp_path, "run", "--dry-run", "plan.toml").stdout

    assert "build is: one task for each of the items at $.itps[*] of give, named by code, at most 50" in said
    assert "give gives: its stdout, to build" in said
    assert "‹item.code›" in dry


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            {"for_each": EACH, "command": ["echo", "{{ itme }}"], "template": True},
            'tasks[1].command[1]: "itme" is nothing here; did you mean "item"?',
        ),
        (
            {"for_each": EACH, "cwd": "{{ item }}/{{ outputs.give }}"},
            'tasks[1].cwd: "outputs" is nothing here; there is item and task',
        ),
        (
            {"template": True, "command": ["echo", "{{ item }}"], "needs": ["give"]},
            'tasks[1].command[1]: "item" is nothing here; only a task with for_each has one',
        ),
    ],
)
def test_what_can_be_known_to_be_wrong_is_told_before_anything_starts(
    tmp_path: Path, keys: dict[str, object], problem: str
) -> None:
    (tmp_path / "plan.toml").write_text("\n".join([give(), task("build", **{"command": ["true"], **keys})]))  # type: ignore[arg-type] # command is one

    assert problem in callboard(tmp_path, "check", "plan.toml", code=2).stderr


def test_the_items_of_a_task_without_output_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("\n".join([task("give", "true"), task("build", "true", for_each=EACH)]))

    said = callboard(tmp_path, "check", "plan.toml", code=2).stderr
    assert 'tasks[1].for_each.from: "give" has no output; add it there' in said


def test_the_manifest_of_configs_runs(tmp_path: Path) -> None:
    configs = Path(__file__).parent.parent / "configs"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "manifest.json").write_bytes((configs / "manifest.json").read_bytes())
    with running(tmp_path, (configs / "manifest.toml").read_text()) as run:
        run.finish()

        assert run.spool("index").decode().split("\n")[:3] == ["A-12: Earthworks", "B-07: Concrete", "C-31: Steel"]
        assert run.report.totals.statuses == {"succeeded": 14}


AGAIN = (
    give(*codes(1, 2, 3)),
    task("build", "echo {{ item.code }} >> done; [ {{ item.code }} != 2 ] || [ -e go ]", for_each=EACH),
    task("sum", "echo sum >> done", needs=["build"]),
)


def test_one_item_of_an_ended_run_runs_again_with_what_depends_on_it_and_no_other_does(tmp_path: Path) -> None:
    with running(tmp_path, *AGAIN) as run:
        run.finish(1)
        assert run.task("build").reason == "1 of 3 items failed: build[2]"
        (tmp_path / "go").touch()

        callboard(tmp_path, "retry", "--from", "build[2]")

        assert sorted((tmp_path / "done").read_text().split()) == ["1", "2", "2", "3", "sum"]
        assert (run.task("build").status, run.task("build").reason) == ("succeeded", "3 items")
        assert [each.number for each in run.task("build[2]").attempts] == [1, 2]


def test_all_items_of_an_ended_run_run_again_but_what_they_were_made_from_does_not(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with running(tmp_path, *AGAIN) as run:
        run.finish()

        refused = callboard(tmp_path, "retry", "--from", "give", code=2).stderr
        callboard(tmp_path, "retry", "--from", "build")

        assert (
            'the tasks of "build" were made from what was there then; begin with "build" or with one of them' in refused
        )
        assert sorted((tmp_path / "done").read_text().split()) == ["1", "1", "2", "2", "3", "3", "sum", "sum"]


def test_each_item_has_a_workspace_of_its_own_that_is_kept_where_it_failed(tmp_path: Path) -> None:
    space = {"kind": "folder", "keep": "on-failure", "files": {"x": {"text": "for {{ item.code }}"}}}
    command = "cat x; [ {{ item.code }} != 2 ]"
    plan = (give(*codes(1, 2)), task("build", command, for_each=EACH, workspace=space, allow_failure=True))
    with running(tmp_path, *plan) as run:
        run.finish()

        assert [run.spool(f"build[{number}]") for number in (1, 2)] == [b"for 1", b"for 2"]
        assert [path.name for path in run.folder.workspaces.glob("b*")] == ["build[2]"]


def test_each_item_may_be_a_callboard_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "sub.toml").write_text(task("one", "echo $ITEM", pass_env=["ITEM"]))
    plan = (
        give(*codes("a", "b")),
        table(
            "[[tasks]]",
            {"id": "build", "for_each": EACH, "instance": {"plan": "sub.toml"}, "env": {"ITEM": "{{ item.code }}"}},
        ),
    )
    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.task("build").reason == "2 items"
        assert callboard(tmp_path, "logs", run.fleet.name, "build[b]/one").stdout == "b\n"
