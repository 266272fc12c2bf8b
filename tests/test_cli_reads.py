"""The commands that read: runs, events, logs, report, prune, doctor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.errors import InputError
from supervisor.cli.doctor import doctor
from supervisor.cli.events import events
from supervisor.cli.logs import logs
from supervisor.cli.prune import prune
from supervisor.cli.report import report
from supervisor.cli.runs import runs
from supervisor.fleets import Fleet, create_fleet, find_fleet
from supervisor.state import open_state
from tests.made_fleets import (
    add_records,
    exited,
    fill_spool,
    make_fleet,
    output,
    run_ended,
    run_started,
    started,
    starting,
    status,
)

CALLBOARD = [sys.executable, "-c", "from supervisor.cli.main import main; main()"]
DATA = b"\x00\xff\xc3 no end\r\n\x1b[31m"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


@pytest.fixture
def ended(state: Path) -> Fleet:
    fleet = make_fleet(
        state,
        [
            run_started("a"),
            starting("a"),
            started("a"),
            output("a", length=len(DATA)),
            exited("a", stdout_bytes=len(DATA)),
            status("a", "succeeded"),
            run_ended(succeeded=1),
        ],
    )
    fill_spool(fleet, "a", DATA)
    fill_spool(fleet, "a", b"oops\n", stream="stderr")
    return fleet


def test_runs_lists_a_line_for_each_run(state: Path, ended: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    torn = make_fleet(state, None, at=1.0)
    torn.folder.identity.unlink()

    runs(state=state)

    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split() == ["run", "status", "started", "time", "tasks", "plan"]
    assert sorted(line.split()[:2] for line in lines[:2]) == sorted([[ended.name, "succeeded"], [torn.name, "damaged"]])
    assert lines[2] == f"{torn.name}: fleet.json is missing"


def test_runs_as_json_is_one_object_a_line(state: Path, ended: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    runs(state=state, json=True)

    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["run"], found["status"], found["counts"]) == (ended.name, "succeeded", {"succeeded": 1})


def test_where_nothing_ran_runs_says_how_to_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(state=tmp_path / "none")
    assert "start one with: callboard run PLAN.toml" in capsys.readouterr().out

    runs(state=tmp_path / "none", json=True)
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "none").exists()


def test_events_prints_a_line_for_each_record(ended: Fleet, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    events(ended.name[:4], after=5, state=ended.folder.root.parent)

    first, second = capsysbinary.readouterr().out.splitlines()
    assert first.split()[0::2][:2] == [b"6", b"task.status_changed"]
    assert second.split()[2:] == [b"run.ended", b"outcome=succeeded", b'counts={"succeeded":1}']


def test_events_as_json_are_the_stored_records(ended: Fleet, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    events(state=ended.folder.root.parent, json=True)

    found = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [record["seq"] for record in found] == [1, 2, 3, 4, 5, 6, 7]
    assert (found[3]["type"], found[3]["length"]) == ("worker.output", len(DATA))


def test_events_behind_the_last_are_none(ended: Fleet, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    events(state=ended.folder.root.parent, after=7)

    assert capsysbinary.readouterr().out == b""


def test_a_negative_number_of_a_record_is_refused(state: Path) -> None:
    with pytest.raises(InputError, match="--after: -1 is no number"):
        events(after=-1, state=state)


def test_logs_prints_the_exact_bytes(ended: Fleet, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    state = ended.folder.root.parent

    logs(ended.name, "a", state=state)
    assert capsysbinary.readouterr().out == DATA
    logs(ended.name, "a", stderr=True, follow=True, attempt=1, state=state)
    assert capsysbinary.readouterr().out == b"oops\n"
    logs(ended.name, "a", part="1:2", state=state)
    assert capsysbinary.readouterr().out == DATA[1:3]
    logs(ended.name, "a", part="4:", state=state)
    assert capsysbinary.readouterr().out == DATA[4:]
    logs(ended.name, "a", part="4:0", state=state)
    assert capsysbinary.readouterr().out == b""


@pytest.mark.parametrize("part", ["", "5", ":5", "-1:5", "1:-5", "a:b", "1:2:3", "1:2\n", "٣:1"])
def test_a_range_that_is_none_is_refused(ended: Fleet, part: str) -> None:
    with pytest.raises(InputError, match="is not OFFSET:LENGTH; write it like 0:4096"):
        logs(ended.name, "a", part=part, state=ended.folder.root.parent)


def test_report_shows_the_summary_and_as_json_all(ended: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    state = ended.folder.root.parent

    report(state=state)
    text = capsys.readouterr().out
    assert text.startswith(f"run {ended.name} of plan.toml\n\ntask  status ")
    assert "succeeded in 3s: 1 succeeded\n" in text

    report(ended.name, json=True, state=state)
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"][0]["attempts"][0]["stdout"] == {"bytes": len(DATA), "lines": 2}


def test_the_report_of_a_killed_run_tells_what_was_left(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = make_fleet(state, [run_started("a"), status("a", "running"), starting("a"), started("a")])

    report(state=state)

    text = capsys.readouterr().out
    assert "interrupted" in text and "callboard was killed" in text
    assert text.endswith(f"report: {fleet.folder.report_markdown}\n")


def test_the_report_of_a_living_run_tells_what_came_of_it_so_far(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with create_fleet(state, plan="p", cwd="/", version="1") as made:
        fleet = find_fleet(state, None)
        add_records(fleet, [run_started("a", "b"), status("a", "succeeded")])

        report(state=state)

    assert "not ended: 1 succeeded, 1 pending" in capsys.readouterr().out
    assert not made.folder.report_json.exists()


def test_the_report_of_a_damaged_run_is_an_error_that_says_where_it_lies(state: Path) -> None:
    fleet = make_fleet(state, None)
    fleet.folder.identity.write_bytes(b"{")

    with pytest.raises(InputError, match=f"damaged: fleet.json: .*; see what is left in {fleet.folder.root}"):
        report(state=state)


def test_prune_says_what_it_freed(ended: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    state = ended.folder.root.parent

    prune(keep_runs=0, dry_run=True, state=state)
    assert capsys.readouterr().out.startswith(f"would remove {ended.name}: ")
    assert ended.folder.root.exists()

    prune(keep_runs=0, state=state)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"removed {ended.name}: ") and second.startswith("1 run, ") and second.endswith(" freed")
    assert not ended.folder.root.exists()

    prune(keep_runs=0, json=True, state=state)
    assert json.loads(capsys.readouterr().out) == {"removed": [], "kept": [], "bytes": 0, "dry_run": False}


def test_prune_follows_the_settings(ended: Fleet, tmp_path: Path) -> None:
    config = tmp_path / "callboard.toml"
    config.write_text("[retention]\nkeep_days = 100000\nkeep_runs = 1\n")

    prune(state=ended.folder.root.parent, config=config)

    assert ended.folder.root.exists()


@pytest.mark.parametrize("wrong", [{"keep_runs": -1}, {"keep_days": -0.5}, {"keep_days": float("nan")}])
def test_prune_refuses_what_makes_no_sense(ended: Fleet, wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="neither can be less than 0"):
        prune(state=ended.folder.root.parent, **wrong)  # type: ignore[arg-type]
    assert ended.folder.root.exists()


def test_doctor_says_ok_or_what_to_do(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(state=state) == 0
    assert all(line[:6] in ("ok    ", "warn  ") for line in capsys.readouterr().out.splitlines())

    assert doctor(state=state, json=True) == 0
    assert {json.loads(line)["level"] for line in capsys.readouterr().out.splitlines()} <= {"ok", "warn"}


def test_doctor_ends_with_1_where_something_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    assert doctor(state=tmp_path / "file") == 1
    assert "fail  state folder: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["runs"], 0, ""),
        (["logs", "zzz", "a"], 2, 'error: run "zzz": there is none in '),
        (["logs", "RUN", "b"], 2, 'error: task "b": run RUN has no such task; it has a\n'),
        (["logs", "RUN", "a", "--range", "x"], 2, 'error: --range: "x" is not OFFSET:LENGTH'),
        (["report", "RUN", "--json"], 0, ""),
        (["events", "RUN", "--follow", "--after", "6"], 0, ""),
        (["prune", "--dry-run"], 0, ""),
    ],
)
def test_as_a_command(ended: Fleet, arguments: list[str], code: int, error: str) -> None:
    words = [word.replace("RUN", ended.name) for word in arguments]
    command = [*CALLBOARD, *words, "--state", str(ended.folder.root.parent)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == code
    assert done.stderr.startswith(error.replace("RUN", ended.name)) and "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(ended: Fleet) -> None:
    fill_spool(ended, "a", b"x" * 10_000_000)
    command = [*CALLBOARD, "logs", ended.name, "a", "--state", str(ended.folder.root.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.read(10)
        process.stdout.close()

        assert process.stderr.read() == b""
