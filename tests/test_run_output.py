"""What workers print, in every odd way, arrives whole: in the spool, in the records, on the terminal."""

import hashlib
import json
import signal
import unicodedata
from pathlib import Path

from protocols.event_codec import encode_record
from protocols.events import WorkerExited, WorkerHeartbeat, WorkerMismatch, WorkerOutput, WorkerProgress
from protocols.kinds import Stream
from tests.running import RunningPlan, python, running, task

_BLOCKS = 1600
_POUR = f"""
import os
for number in range({_BLOCKS}):
    rest = memoryview(b"%15d\\n" % number * 4096)
    while rest:
        rest = rest[os.write(1, rest):]
"""
_NO_TEXT = (
    bytes(range(256)) * 3
    + b"\0\0\0\xff\xfe\n"
    + "\x9b31m\x85\u202e\u2028".encode()
    + b"\n\x1b]0;title\x07\x1b[2Jx\n\xc3"
)


def _covered(run: RunningPlan, name: str, stream: Stream = "stdout") -> int:
    """How many bytes the records cover, each exactly once and in order."""
    end = 0
    for output in run.events(WorkerOutput, name):
        if output.stream == stream:
            assert output.offset == end
            end += output.length
    return end


def _print(data: bytes) -> str:
    return f"import os\nos.write(1, {data!r})"


def _worker_lines(run: RunningPlan, name: str) -> list[str]:
    prefix = f"{name} | "
    return [line.removeprefix(prefix) for line in run.stdout.decode().split("\n") if line.startswith(prefix)]


def _unsafe(text: str) -> set[str]:
    """What a terminal obeys or takes for the end of a line."""
    return {each for each in text if unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"}} - {"\n"}


def test_a_hundred_megabytes_as_fast_as_they_come_are_recorded_byte_by_byte(tmp_path: Path) -> None:
    expected = hashlib.sha256()
    for number in range(_BLOCKS):
        expected.update(b"%15d\n" % number * 4096)

    with running(tmp_path, python("a", _POUR)) as run:
        run.finish()

        exited = run.wait_for(WorkerExited, "a")
        assert exited.stdout_bytes == _covered(run, "a") == run.attempt("a").stdout.bytes == _BLOCKS * 65536
        assert run.attempt("a").stdout.lines == _BLOCKS * 4096
        assert hashlib.sha256(run.spool("a")).digest() == expected.digest()
        assert not run.events(WorkerMismatch)


def test_what_a_worker_printed_until_it_was_killed_is_recorded_to_the_last_byte(tmp_path: Path) -> None:
    script = "import itertools, os\nfor number in itertools.count(): os.write(1, b'%d\\n' % number)"

    with running(tmp_path, python("a", script), settings='[stop]\ngrace = "0s"\n') as run:
        run.wait_until(lambda: _covered(run, "a") > 100_000)
        run.signal(signal.SIGTERM)
        run.finish(130)

        exited = run.wait_for(WorkerExited, "a")
        assert exited.signal == "SIGKILL"
        printed = run.spool("a")
        assert exited.stdout_bytes == _covered(run, "a") == len(printed)
        assert printed == b"".join(b"%d\n" % number for number in range(printed.count(b"\n") + 1))[: len(printed)]
        assert not run.events(WorkerMismatch)


def test_a_line_of_fifty_megabytes_is_one_line_in_the_spool_and_comes_in_parts_on_the_terminal(tmp_path: Path) -> None:
    script = "import sys\nfor number in range(5000): sys.stdout.write(f'{number:10}' * 1000)"
    line = "".join(f"{number:10}" * 1000 for number in range(5000))

    with running(tmp_path, python("a", script), options=("--show-output",)) as run:
        run.finish()

        assert run.spool("a") == line.encode()
        assert _covered(run, "a") == len(line)
        assert run.attempt("a").stdout.lines == 1
        shown = _worker_lines(run, "a")
        assert max(map(len, shown)) == 2048
        assert "".join(shown) == line
        assert not run.events(WorkerMismatch)


def test_bytes_that_are_no_text_are_exact_in_the_spool_and_harmless_on_the_terminal(tmp_path: Path) -> None:
    with running(tmp_path, python("a", _print(_NO_TEXT)), options=("--show-output",)) as run:
        run.finish()

        assert run.spool("a") == _NO_TEXT
        assert _covered(run, "a") == len(_NO_TEXT)
        assert not _unsafe(run.stdout.decode())
        shown = _worker_lines(run, "a")
        assert shown[-2:] == ["x", "\ufffd"]
        assert "[0m" not in "".join(shown) and "title" not in "".join(shown)


def test_bytes_that_are_no_text_leave_the_json_output_valid(tmp_path: Path) -> None:
    script = _print(b"10%\x00\xff\x1b[2J\x9b \xc3\n" + _NO_TEXT)

    with running(tmp_path, python("a", script), options=("--output", "json")) as run:
        run.finish()

        lines = run.stdout.decode().splitlines()
        assert [json.loads(line)["seq"] for line in lines] == [record.seq for record in run.records()]
        assert not _unsafe(run.stdout.decode())


def test_a_command_with_control_characters_is_harmless_on_the_terminal(tmp_path: Path) -> None:
    arguments = ["true", "\x1b]0;title\x07\x9b2J\u202eend\x7f\r\n"]

    with running(tmp_path, task("a", arguments), options=("--output", "json")) as run:
        run.finish()
        assert not _unsafe(run.stdout.decode())
        assert '"seq":4' in run.stdout.decode().splitlines()[3]
    (tmp_path / "plain").mkdir()
    with running(tmp_path / "plain", task("a", arguments)) as run:
        run.finish()
        assert not _unsafe(run.stdout.decode())


def test_a_progress_bar_of_carriage_returns_alone_is_progress(tmp_path: Path) -> None:
    script = """
        for done in 1 2 3; do
            printf '\\rcopying files: %s%%' "${done}0"
            while [ ! -e seen$done ]; do sleep 0.005; done
        done
    """

    with running(tmp_path, task("a", script)) as run:
        for done in (1, 2, 3):
            seen = run.wait_for(WorkerProgress, "a", done)
            assert (seen.fraction, seen.label) == (done / 10, "copying files")
            (tmp_path / f"seen{done}").touch()
        run.finish()

        assert run.spool("a") == b"\rcopying files: 10%\rcopying files: 20%\rcopying files: 30%"
        assert len(run.events(WorkerProgress)) == 3


def test_a_bar_that_is_drawn_faster_than_anybody_looks_ends_with_its_last_state(tmp_path: Path) -> None:
    script = (
        "import sys\nfor done in range(1001): sys.stdout.write('\\r%5.1f%% done' % (done / 10)); sys.stdout.flush()"
    )

    with running(tmp_path, python("a", script)) as run:
        run.finish()

        assert run.events(WorkerProgress)[-1].fraction == 1.0


def test_a_bar_whose_last_state_nothing_follows_is_read_at_the_end(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "printf '\\r39/40 '; sleep 0.3; printf '\\r40/40'; sleep 0.3")) as run:
        run.finish()

        assert run.events(WorkerProgress)[-1].fraction == 1.0


def test_a_last_line_without_its_end_is_kept_and_shown(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "printf 'one\\ntwo'"), options=("--show-output",)) as run:
        run.finish()

        assert run.spool("a") == b"one\ntwo"
        assert run.attempt("a").stdout.lines == 2
        assert _worker_lines(run, "a") == ["one", "two"]


def test_a_worker_that_prints_nothing_has_empty_files_and_no_output_records(tmp_path: Path) -> None:
    with running(tmp_path, task("a", ["true"])) as run:
        run.finish()

        assert (run.spool("a"), run.spool("a", stream="stderr")) == (b"", b"")
        assert not run.events(WorkerOutput)
        assert not run.events(WorkerHeartbeat)
        exited = run.wait_for(WorkerExited, "a")
        assert (exited.stdout_bytes, exited.stderr_bytes) == (0, 0)


def test_writing_to_dev_stdout_and_dev_stderr_by_name_loses_nothing(tmp_path: Path) -> None:
    script = """
        echo one; echo two > /dev/stdout; echo three >> /dev/stdout; echo four; echo five | tee -a /dev/stdout
        echo 1 >&2; echo 2 > /dev/stderr; echo 3 >> /dev/stderr; echo 4 | tee /dev/stderr > /dev/null; echo 5 >&2
        echo six > /proc/self/fd/1
    """

    with running(tmp_path, task("a", script)) as run:
        run.finish()

        assert run.spool("a").decode().split() == ["one", "two", "three", "four", "five", "five", "six"]
        assert run.spool("a", stream="stderr").decode().split() == ["1", "2", "3", "4", "5"]
        assert (_covered(run, "a"), _covered(run, "a", "stderr")) == (33, 10)
        assert not run.events(WorkerMismatch)


def test_the_json_output_is_every_record_as_journalled_in_order(tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(8)]
    plan = [task(name, f"echo {name}; echo {name} >&2; echo 50%; exit $(({number} % 2))", allow_failure=True)
            for number, name in enumerate(names)]  # fmt: skip

    with running(tmp_path, *plan, options=("--output", "json")) as run:
        run.finish()

        assert run.stdout == b"".join(encode_record(record) + b"\n" for record in run.records())
        assert [record.seq for record in run.records()] == list(range(1, len(run.records()) + 1))
        assert len(run.events(WorkerExited)) == 8


def test_shown_output_is_the_lines_of_each_task_in_order_behind_its_name(tmp_path: Path) -> None:
    script = "for number in $(seq 300); do echo $number; done"

    with running(tmp_path, task("a", script), task("b", script), options=("--show-output",)) as run:
        run.finish()

        expected = [str(number) for number in range(1, 301)]
        assert _worker_lines(run, "a") == expected
        assert _worker_lines(run, "b") == expected
