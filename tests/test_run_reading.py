"""The commands that read, as a person uses them: where nothing ran, while something runs, and for a program."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.state import open_state
from tests.made_fleets import make_fleet
from tests.running import CALLBOARD, RunningPlan, callboard, python, running

WAIT = "import pathlib, time\nprint('one', flush=True)\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)\n"
PLAN = python("a", WAIT + "print('two')"), python("b", "", needs=["a"])


@pytest.fixture
def living(tmp_path: Path) -> Iterator[RunningPlan]:
    """A run whose worker has written a line and waits until it may ``go``."""
    with running(tmp_path, *PLAN) as run:
        run.wait_for_output("a", b"one\n")
        yield run
        (tmp_path / "go").touch()
        run.wait()


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a plan was run to its end."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "go").touch()
    with running(folder, *PLAN) as run:
        run.finish()
    return folder


@pytest.mark.parametrize("command", [("status",), ("stop",), ("report",), ("events",), ("logs", "x", "a")])
def test_where_nothing_ran_a_command_says_how_to_start(tmp_path: Path, command: tuple[str, ...]) -> None:
    said = callboard(tmp_path, *command, code=2)

    assert said.stdout == ""
    assert said.stderr == (
        f"error: {tmp_path}/.callboard: there are no runs here; start one with: callboard run PLAN.toml\n"
    )
    assert not (tmp_path / ".callboard").exists()


@pytest.mark.parametrize("command", [("runs",), ("prune",), ("doctor",)])
def test_listings_of_nothing_are_no_error_and_make_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    callboard(tmp_path, *command)

    assert not (tmp_path / ".callboard").exists()


@pytest.mark.parametrize("command", [("status", "RUN"), ("report", "RUN"), ("events", "RUN"), ("logs", "RUN", "a")])
def test_a_run_is_named_by_the_only_id_that_begins_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    state = open_state(tmp_path / ".callboard")
    names: list[str] = []
    while len({name[0] for name in names}) == len(names):
        names.append(make_fleet(state, None).name)
    first = names[-1][0]
    alike = {name for name in names if name[0] == first}

    unknown = callboard(tmp_path, *(word.replace("RUN", "zzzz") for word in command), code=2).stderr
    ambiguous = callboard(tmp_path, *(word.replace("RUN", first) for word in command), code=2).stderr

    assert unknown.startswith(f'error: run "zzzz": there is none in {state}; there are: ')
    head, _, rest = ambiguous.partition(": more than one begins so: ")
    assert head == f'error: run "{first}"'
    assert set(rest.removesuffix("; write more of its id\n").split(", ")) == alike


def test_what_is_asked_for_and_is_not_there_is_an_error_of_logs(ended: Path) -> None:
    def refused(*arguments: str) -> str:
        said = callboard(ended, "logs", "", *arguments, code=2)
        assert said.stdout == ""
        return said.stderr

    assert "has no such task; it has a, b\n" in refused("c")
    assert "has no such task; it has a, b\n" in refused("../a")
    assert refused("a", "--attempt", "2") == 'error: task "a": it has no attempt 2; the last is 1\n'
    assert refused("a", "--attempt", "0") == 'error: task "a": it has no attempt 0; the last is 1\n'
    assert refused("a", "--attempt", "x").startswith("error: invalid value for --attempt: ")
    assert refused("a", "--range", "1-2").startswith('error: --range: "1-2" is not OFFSET:LENGTH; write it like ')
    assert callboard(ended, "logs", "", "a", "--range", "1000:5").stdout == ""


def test_following_the_log_of_a_living_task_ends_with_it(living: RunningPlan) -> None:
    with _following(living.cwd, "logs", living.fleet.name, "a") as follower:
        assert follower.stdout is not None
        assert follower.stdout.read(4) == b"one\n"
        (living.cwd / "go").touch()
        assert follower.stdout.read() == b"two\n"
        assert follower.wait(25) == 0
    living.finish()


def test_following_the_records_of_a_living_run_ends_with_it(living: RunningPlan) -> None:
    with _following(living.cwd, "events", "--json") as follower:
        assert follower.stdout is not None
        records = [json.loads(follower.stdout.readline())]
        (living.cwd / "go").touch()
        records += [json.loads(line) for line in follower.stdout]
        assert follower.wait(25) == 0
    living.finish()

    assert [record["seq"] for record in records] == list(range(1, len(living.records()) + 1))
    assert records[-1]["type"] == "run.ended"


def _following(cwd: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([CALLBOARD, *arguments, "--follow"], cwd=cwd, stdout=subprocess.PIPE)


def test_a_living_run_is_told_as_far_as_it_got(living: RunningPlan) -> None:
    name, cwd = living.fleet.name, living.cwd

    assert f"run {name} of plan.toml: running, " in callboard(cwd, "status").stdout
    assert "not ended: 1 running, 1 pending" in callboard(cwd, "report").stdout
    assert callboard(cwd, "runs").stdout.splitlines()[1].split()[:2] == [name, "running"]
    assert "worker.started" in callboard(cwd, "events").stdout
    assert callboard(cwd, "logs", name, "a").stdout == "one\n"
    waiting = callboard(cwd, "logs", name, "b", code=2).stderr
    assert waiting == 'error: task "b": it did not start: pending\n'


def test_a_living_run_is_never_pruned(living: RunningPlan) -> None:
    said = callboard(living.cwd, "prune", "--keep-runs", "0", "--keep-days", "0").stdout

    assert said == f"kept {living.fleet.name}: it is running\n0 runs, 0 B freed\n"
    (living.cwd / "go").touch()
    living.finish()


KEYS = {
    ("runs",): "run status plan started_at ended_at counts problem",
    ("status",): "run plan pid started_at seconds stopping outcome counts tasks last_seq budgets servers detached",
    ("report",): "format run fleet plan cwd version outcome started_at ended_at totals tasks budgets",
    ("check", "plan.toml"): (
        "plan tasks concurrency role_concurrency waves critical_path slowest environments notes logfiles "
        "sessions roles outputs label_concurrency orders on_failure fan_outs"
    ),
    ("ps", "--all"): (
        "task status reason attempt pid seconds timeout stdout_bytes stderr_bytes terminal_bytes log_bytes "
        "session_bytes quiet_for fraction label retry_at stopping blocked actions gap verdict "
        "run role source argv cwd window streams started_at ended_at code signal end"
    ),
    ("prune", "--dry-run"): "removed kept bytes dry_run",
    ("doctor",): "subject level found advice",
}


@pytest.mark.parametrize("command", KEYS, ids=lambda command: command[0])
def test_the_json_of_a_command_has_the_keys_that_programs_rely_on(ended: Path, command: tuple[str, ...]) -> None:
    text = callboard(ended, *command, "--json").stdout

    objects = [json.loads(text)] if command == ("report",) else [json.loads(line) for line in text.splitlines()]
    assert objects
    assert {tuple(each) for each in objects} == {tuple(KEYS[command].split())}


def test_each_task_and_attempt_has_its_keys_in_status_and_report(ended: Path) -> None:
    status = json.loads(callboard(ended, "status", "--json").stdout)
    report = json.loads(callboard(ended, "report", "--json").stdout)

    assert " ".join(status["tasks"][0]) == (
        "task status reason attempt pid seconds timeout stdout_bytes stderr_bytes terminal_bytes log_bytes "
        "session_bytes "
        "quiet_for fraction label retry_at stopping blocked actions gap verdict"
    )
    assert " ".join(report["tasks"][0]) == "id role status reason allowed started_at ended_at seconds attempts output"
    assert " ".join(report["tasks"][0]["attempts"][0]) == (
        "number id started_at ended_at seconds code signal reason stdout stderr terminal "
        "log session gaps lost swept error stalled_seconds actions use"
    )
    assert " ".join(report["totals"]) == (
        "tasks statuses attempts stdout stderr terminal log session gaps swept use work_seconds seconds"
    )


def test_every_record_as_json_has_its_number_its_type_and_its_time(ended: Path) -> None:
    records = [json.loads(line) for line in callboard(ended, "events", "--json").stdout.splitlines()]

    assert records
    assert all(list(record)[:3] == ["seq", "type", "at"] for record in records)
