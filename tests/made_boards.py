"""A run in which every state of a worker can be seen, as a board."""

from collections.abc import Iterable

import msgspec

from actors.live.blocks import WorkerText
from protocols.board import Board
from protocols.events import Event, Record, SpoolBlocked, WorkerExited, WorkerMismatch, WorkerProgress, WorkerStopping
from protocols.fleet_events import KeeperLost
from protocols.ids import TaskId, WorkerId
from tests.made_fleets import AT, exited, output, run_started, started, starting, status

__all__ = ["NOW", "TEXTS", "every_state", "make_board"]

NOW = AT + 754
"""12:34 after the start."""
_ROLES = {"tests": "checker", "types": "checker", "docs": "writer", "flaky": "checker", "lint": "checker"}
_TIMEOUTS = {"tests": 240.0, "types": 240.0, "docs": 600.0, "slow": 60.0}
_TASKS = (
    *("lint", "tests", "types", "docs", "translate", "flood", "slow", "full", "flaky", "compile", "package"),
    *("benchmark", "old-docs", "twice", "broken-spool", "halted", "archive"),
)
_ACCENTS = "Résumé naïve façade, e\u0301crit a\u0300 la main"
TEXTS = {
    TaskId("tests"): WorkerText(
        ("tests/test_graph.py ............", "tests/test_lines.py ......", "tests/test_main.py ."), (1420, False)
    ),
    TaskId("types"): WorkerText((), None),
    TaskId("docs"): WorkerText(("wrote 3 of 8 chapters",), (1, True)),
    TaskId("translate"): WorkerText(("日本語の文章を翻訳しています 🚀", _ACCENTS), (62, True)),
    TaskId("flood"): WorkerText(("row 40000 of a table that never seems to end",), (1_420_000, False)),
    TaskId("slow"): WorkerText(("\x1b[2J\x1b[1;1H\x1b[31mI take the whole screen\x1b[0m\x07",), (12, True)),
    TaskId("full"): WorkerText(("one more block",), (99_999, True)),
    TaskId("lint"): WorkerText(("all checks passed",), (1, True)),
    TaskId("compile"): WorkerText(("main.c: no such file",), (14_200, True)),
    TaskId("twice"): WorkerText(("this time it works",), (3, True)),
}


def make_board(events: Iterable[Event]) -> Board:
    board = Board()
    for seq, event in enumerate(events, 1):
        board.apply(Record(seq, event))
    return board


def every_state(*more: Event) -> Board:
    """A run after 12:34 minutes, and what happens then."""
    first = msgspec.structs.replace(
        run_started(*_TASKS),
        plan="configs/quickstart.toml",
        roles={TaskId(name): role for name, role in _ROLES.items()},
        timeouts={TaskId(name): seconds for name, seconds in _TIMEOUTS.items()},
    )
    return make_board((first, *_running(), *_troubled(), *_ended(), *more))


def _begun(task: str, attempt: int = 1, *, at: float, timeout: float | None = None) -> tuple[Event, ...]:
    begin = msgspec.structs.replace(starting(task, attempt, at=at), timeout=timeout)
    return (status(task, "running", attempt=attempt, at=at), begin, started(task, attempt, at=at))


def _running() -> tuple[Event, ...]:
    return (
        *_begun("tests", at=NOW - 8, timeout=_TIMEOUTS["tests"]),
        *(output("tests", offset=at * 30_000, length=30_000, at=NOW - 8 + at) for at in range(8)),
        _progress("tests", 0.58, "collecting"),
        *_begun("types", at=NOW - 8, timeout=_TIMEOUTS["types"]),
        *_over("docs", 12.0, 300),
        *_begun("docs", 2, at=NOW - 500, timeout=_TIMEOUTS["docs"]),
        output("docs", 2, length=22, at=NOW - 75),
        _progress("docs", 0.375, "3/8 chapter 4: what every state of a worker looks like", 2),
        *_begun("translate", at=NOW - 62),
        output("translate", length=4200, at=NOW - 1),
        _progress("translate", None, "日本語の文章を翻訳しています"),
        *_begun("flood", at=NOW - 700),
        output("flood", length=34_000_000, at=NOW - 1.5),
    )


def _troubled() -> tuple[Event, ...]:
    stop = WorkerStopping(at=NOW - 3, worker=WorkerId("slow"), attempt=1, reason="timeout", grace=10.0)
    full = SpoolBlocked(
        at=NOW - 40, worker=WorkerId("full"), attempt=1, stream="stdout", error="No space left on device"
    )
    return (
        *_begun("slow", at=NOW - 63, timeout=_TIMEOUTS["slow"]),
        output("slow", length=300, at=NOW - 3),
        stop,
        *_begun("full", at=NOW - 300),
        output("full", length=1_200_000, at=NOW - 40),
        full,
        KeeperLost(at=NOW - 20, pid=12, reason="killed by SIGKILL"),
        full,
    )


def _ended() -> tuple[Event, ...]:
    retry = msgspec.structs.replace(status("flaky", "retrying", attempt=1, reason="exit code 7"), retry_at=NOW + 2.5)
    allowed = msgspec.structs.replace(
        status("old-docs", "timed-out", reason="timed out after 2m, killed by SIGKILL"), allowed=True
    )
    mismatch = WorkerMismatch(
        at=NOW - 90, worker=WorkerId("broken-spool"), attempt=1, stream="stdout", written=9, spooled=8, recorded=9
    )
    return (
        *_over("lint", 0.3, 20),
        status("lint", "succeeded"),
        *_over("flaky", 4.1, 20),
        retry,
        *_over("compile", 2.1, 1_100_000),
        status("compile", "failed", reason="exit code 3"),
        status("package", "skipped", reason='needs "compile", which failed'),
        status("benchmark", "stopped", reason="not started: the run was stopped"),
        *_over("old-docs", 120.2, 0),
        allowed,
        *_over("twice", 3.0, 0),
        *_over("twice", 65.0, 4000, attempt=2),
        status("twice", "succeeded", attempt=2),
        *_over("broken-spool", 9.0, 9),
        mismatch,
        status("broken-spool", "succeeded"),
        *_over("halted", 30.5, 512),
        status("halted", "stopped", reason="killed by SIGTERM"),
    )


def _over(task: str, seconds: float, size: int, *, attempt: int = 1) -> tuple[Event, ...]:
    end: Event = exited(task, attempt)
    assert isinstance(end, WorkerExited)
    return (
        *_begun(task, attempt, at=AT, timeout=600.0),
        output(task, attempt, length=size),
        msgspec.structs.replace(end, ended_at=AT + seconds),
    )


def _progress(task: str, fraction: float | None, label: str, attempt: int = 1) -> WorkerProgress:
    return WorkerProgress(at=NOW - 1, worker=WorkerId(task), attempt=attempt, fraction=fraction, label=label)
