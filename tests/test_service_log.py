"""The log of the long-running supervisor: where it goes, what a line is, and that nobody waits for it."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio

from protocols.errors import InputError
from supervisor.service_log import service_log
from supervisor.settings import LogSettings

logger = logging.getLogger("actors.somebody")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = [*logging.getLogger().handlers], logging.getLogger().level
    yield
    assert ([*logging.getLogger().handlers], logging.getLogger().level) == before


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_of_the_file_is_an_object_with_what_holds_for_all(tmp_path: Path) -> None:
    file = tmp_path / "up.log"

    with service_log(LogSettings(file=file), run="abcd"):
        logger.info("worker %s has ended", "lint")
        logger.debug("left out")
        structlog.get_logger("other").warning("odd", code=3)

    (first, second) = lines(file)
    assert {**first, "timestamp": ""} == {
        "event": "worker lint has ended",
        "level": "info",
        "logger": "actors.somebody",
        "run": "abcd",
        "timestamp": "",
    }
    assert {"event": "odd", "code": 3, "run": "abcd"}.items() <= second.items()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_line_says_what_was_bound_in_its_own_task(tmp_path: Path) -> None:
    file = tmp_path / "up.log"

    async def act(worker: str) -> None:
        with structlog.contextvars.bound_contextvars(worker=worker):
            await trio.lowlevel.checkpoint()
            await trio.to_thread.run_sync(logger.info, "acts")

    async def act_both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act, "a")
            nursery.start_soon(act, "b")

    with service_log(LogSettings(file=file)):
        trio.run(act_both)

    assert sorted(str(line["worker"]) for line in lines(file)) == ["a", "b"]


def test_an_exception_is_told_without_the_values_of_variables(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter2"

    def fail() -> None:
        try:
            raise ValueError(f"{len(secret)} characters")
        except ValueError:
            logger.exception("it failed")

    with service_log(LogSettings(file=tmp_path / "up.log")):
        fail()
    with service_log(LogSettings(format="text")):
        fail()

    for said in ((tmp_path / "up.log").read_text(), capfd.readouterr().err):
        assert "ValueError: 7 characters" in said
        assert "hunter2" not in said


def test_the_file_is_put_aside_when_it_is_full_and_so_many_stay(tmp_path: Path) -> None:
    with service_log(LogSettings(file=tmp_path / "up.log", max_size=2000, keep=2)):
        for number in range(100):
            logger.info("line %d", number)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["up.log", "up.log.1", "up.log.2"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert lines(tmp_path / "up.log")[-1]["event"] == "line 99"


def test_text_moves_no_cursor(capfd: pytest.CaptureFixture[str]) -> None:
    with service_log(LogSettings()):
        logger.info("to json %s", "\x1b[2J")
    with service_log(LogSettings(format="text")):
        logger.info("to text %s", "\x1b[2J")

    as_json, as_text = capfd.readouterr().err.splitlines()
    assert json.loads(as_json)["event"] == "to json \x1b[2J"
    assert "\x1b" not in as_json + as_text
    assert "to text \\x1b[2J" in as_text


def test_a_file_that_cannot_be_opened_is_told_with_the_setting(tmp_path: Path) -> None:
    settings = LogSettings(file=tmp_path / "none" / "up.log")

    with pytest.raises(InputError, match=r"log file .*/none/up.log: No such file.*log.file"), service_log(settings):
        pass


def test_nobody_waits_for_a_log_that_is_not_read(tmp_path: Path) -> None:
    """Its end neither: the reader of the pipe is there and takes nothing until then."""
    read, write = os.pipe()
    script = (
        "import logging, pathlib\nfrom supervisor.service_log import service_log\n"
        "from supervisor.settings import LogSettings\n"
        "with service_log(LogSettings(format='json')):\n"
        "    for number in range(20_000): logging.getLogger('x').info('line %d of many', number)\n"
        "    print('said', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=write, text=True, check=True)
    os.close(write)

    assert done.stdout == "said\n"
    with os.fdopen(read, "rb") as file:
        said = file.read().splitlines()
    assert json.loads(said[0])["event"] == "line 0 of many"


def test_lines_that_are_left_out_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, released = threading.Event(), threading.Event()

    def wait(handler: logging.Handler, record: logging.LogRecord) -> None:
        held.set()
        assert released.wait(20)
        logging.handlers.RotatingFileHandler.emit(handler, record)

    monkeypatch.setattr("supervisor.service_log._HELD", 2)
    monkeypatch.setattr("supervisor.service_log._File.emit", wait, raising=False)
    with service_log(LogSettings(file=tmp_path / "up.log")):
        logger.info("first")
        assert held.wait(20)
        for number in range(10):
            logger.info("line %d", number)
        released.set()

    said = (tmp_path / "up.log").read_text().splitlines()
    assert said[1] == "8 log lines are missing here: they came faster than they could be written"
    assert [json.loads(line)["event"] for line in (said[0], *said[2:])] == ["first", "line 0", "line 1"]
