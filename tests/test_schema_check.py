"""Outputs are looked at for no longer than a limit, whatever their schema is like."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from actors import schema_check
from actors.json_schema import may_take_long
from actors.schema_check import SchemaCheck
from protocols.events import RunStopping, WorkerExited
from tests.running import RunningPlan, running, task

NAMES = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}
FOR_EVER = {"type": "string", "pattern": "^(a+)+$"}
TEXT = "a" * 60 + "!"


def find(check: SchemaCheck, value: object, schema: object) -> tuple[str, ...]:
    return check.find(json.dumps(value).encode(), json.dumps(schema).encode())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process gives itself little."""
    program = tmp_path / "quick.py"
    program.write_text("from actors import schema_process\nschema_process.LIMIT = 0.5\nschema_process.main()\n")
    monkeypatch.setattr(schema_check, "_COMMAND", (*schema_check._COMMAND[:2], str(program)))


@pytest.mark.parametrize(
    ("schema", "long"),
    [
        (True, False),
        ({"type": "object", "required": ["a"], "items": {"enum": [1]}}, False),
        (FOR_EVER, True),
        ({"items": {"patternProperties": {"x": True}}}, True),
        ({"anyOf": [{"$ref": "#"}]}, True),
        ({"properties": {"a": {"uniqueItems": True}}}, True),
    ],
)
def test_only_what_may_take_long_is_left_to_a_process(schema: object, long: bool) -> None:
    check = SchemaCheck()

    assert may_take_long(schema) == long
    find(check, 1, schema)
    assert (check._child is not None) == long
    close(check)


def test_one_process_serves_one_output_after_the_other() -> None:
    check = SchemaCheck()

    assert find(check, {"name": "ok"}, NAMES) == ()
    child = check._child
    assert find(check, {"name": "No"}, NAMES) == ("$.name: 'No' does not match '^[a-z]+$'",)
    assert find(check, {"name": "x" * 3_000_000}, NAMES) == ()
    assert check._child is child
    close(check)


@pytest.mark.usefixtures("quick")
def test_a_pattern_that_would_take_for_ever_is_told_and_the_next_output_has_a_new_process() -> None:
    check = SchemaCheck()

    with pytest.raises(ValueError, match=r"it takes more than 10 s of CPU time on this output; make its patterns"):
        find(check, TEXT, FOR_EVER)
    assert find(check, "aaa", FOR_EVER) == ()
    close(check)


@pytest.mark.usefixtures("quick")
def test_two_that_ask_at_once_get_their_own_answers() -> None:
    check, found = SchemaCheck(), dict[str, object]()

    def ask(name: str) -> None:
        found[name] = find(check, {"name": name}, NAMES)

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("ok", "No")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {"ok": (), "No": ("$.name: 'No' does not match '^[a-z]+$'",)}
    close(check)


def test_one_that_has_ended_unasked_is_replaced() -> None:
    check = SchemaCheck()
    find(check, {"name": "ok"}, NAMES)
    assert check._child is not None
    os.kill(check._child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, check._child.pid, os.WEXITED | os.WNOWAIT)

    assert find(check, {"name": "ok"}, NAMES) == ()
    close(check)


@pytest.mark.usefixtures("quick")
def test_it_ends_by_itself_when_nobody_asks_any_more() -> None:
    check = SchemaCheck()
    find(check, {"name": "ok"}, NAMES)
    child = check._child
    assert child is not None

    os.close(child.to)
    os.waitid(os.P_PID, child.pid, os.WEXITED)
    os.close(child.of)


def test_what_is_wrong_with_the_schema_is_told() -> None:
    with pytest.raises(ValueError, match="no schema"):
        find(SchemaCheck(), 1, {"type": "objekt"})


def test_such_a_pattern_holds_up_neither_the_others_nor_callboard(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(FOR_EVER))
    plan = (
        task("a", f"echo '\"{TEXT}\"'", output={"stdout_json": True, "schema": "s.json"}),
        task("b", "echo b", needs=[]),
    )
    with running(tmp_path, *plan) as run:
        run.wait_until(lambda: bool(_checkers(run.process.pid)))
        run.signal(signal.SIGTERM)
        run.wait_for(RunStopping)

        assert not run.events(WorkerExited, "a")  # it is at it all the time
        run.wait_until(lambda: _end_checkers(run) or bool(run.events(WorkerExited, "a")))
        run.finish(1)
        assert "it takes more than 10 s of CPU time on this output" in run.task("a").reason


def _end_checkers(run: RunningPlan) -> bool:
    """One that has not begun is replaced by another."""
    for pid in _checkers(run.process.pid):
        os.kill(pid, signal.SIGKILL)
    return False


def _checkers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [int(child) for path in children for child in path.read_text().split()]
    return [child for child in pids if b"actors.schema_process" in _command(child)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def close(check: SchemaCheck) -> None:
    if check._child is not None:
        schema_check._end(check._child)
