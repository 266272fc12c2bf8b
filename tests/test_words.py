import msgspec
import pytest

from actors.live.words import condition, remark
from protocols.board import Board
from protocols.events import Event, SpoolBlocked, TaskStatusChanged, WorkerGap, WorkerMismatch, WorkerStopping
from protocols.ids import TaskId, WorkerId
from protocols.liveness_states import State
from protocols.states import TaskView
from tests.made_boards import make_board
from tests.made_fleets import AT, exited, judged, output, run_started, started, starting, status

A, W = TaskId("a"), WorkerId("a")
BLOCKED = SpoolBlocked(at=AT, worker=W, attempt=1, stream="stdout", error="No space left on device")
MISMATCH = WorkerMismatch(at=AT, worker=W, attempt=1, stream="stderr", written=2, spooled=1, recorded=1)


def board(*events: Event) -> Board:
    return make_board((run_started("a"), *events))


def begun(attempt: int = 1) -> tuple[Event, ...]:
    return (status("a", "running", attempt=attempt), starting("a", attempt), started("a", attempt))


def told(made: Board, now: float = AT) -> tuple[str, str]:
    found = condition(made.view.tasks[A], made.activities.get(A), now)
    return found.word, found.trouble


def stopping(reason: str, grace: float = 10.0) -> WorkerStopping:
    return msgspec.convert(
        {"type": "worker.stopping", "at": AT, "worker": "a", "attempt": 1, "reason": reason, "grace": grace},
        WorkerStopping,
    )


def test_a_running_worker_is_told_with_the_number_of_its_attempt_from_the_second_on() -> None:
    first, second = begun(), begun(2)
    many = [event for number in range(1, 12) for event in begun(number)]

    assert told(board(*first)) == ("running", "")
    assert told(board(*first, exited("a"), *second)) == ("running #2", "")
    assert told(board(*many)) == ("run #11", "")


def test_a_worker_without_a_process_is_starting() -> None:
    assert told(board(*begun()[:2])) == ("starting", "")


@pytest.mark.parametrize(
    ("reason", "grace", "now", "trouble"),
    [
        ("stop", 10.0, AT + 3.5, "KILL in 7s"),
        ("stop", 10.0, AT + 10, "KILL sent"),
        ("stop", 0.0, AT - 1, "KILL sent"),
        ("timeout", 10.0, AT, "timed out, KILL in 10s"),
        ("orphaned", 10.0, AT, "orphaned, KILL in 10s"),
    ],
)
def test_of_one_that_is_stopped_it_is_told_why_and_when_it_is_killed(
    reason: str, grace: float, now: float, trouble: str
) -> None:
    assert told(board(*begun(), stopping(reason, grace)), now) == ("stopping", trouble)


def test_who_waits_for_the_machine_tells_what_it_waits_for() -> None:
    waits = "waits: 212 MB of memory free, 512 MB wanted"

    assert remark(board(status("a", "pending", reason=waits)).view.tasks[A], AT) == waits
    again = board(*begun(), exited("a", code=1), status("a", "retrying", attempt=1, reason=waits))
    assert remark(again.view.tasks[A], AT) == waits


def test_a_blocked_one_tells_what_it_waits_for_once() -> None:
    both = (BLOCKED, msgspec.structs.replace(BLOCKED, stream="stderr"))

    assert told(board(*begun(), *both)) == ("blocked", "output waits: No space left on device")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("starting", "running"),
        ("testing", "testing"),
        ("waiting-permission", "asks"),
        ("waiting-quota", "no quota"),
        ("quiet", "quiet (?)"),
        ("unknown", "unknown"),
    ],
)
def test_a_running_worker_is_called_by_its_verdict(state: State, word: str) -> None:
    assert told(board(*begun(), judged("a", state))) == (word, "")


def test_the_word_for_a_verdict_has_room_for_the_number_of_the_attempt() -> None:
    before = (*begun(), exited("a"), *begun(2))

    assert told(board(*before, judged("a", "quiet", attempt=2)))[0] == "quiet? #2"
    assert told(board(*before, judged("a", "idle", attempt=2)))[0] == "idle #2"
    assert told(board(*before, judged("a", "idle", attempt=1)))[0] == "running #2"


def test_of_one_that_stands_still_it_is_told_how_long_and_whether_it_repeats_itself() -> None:
    stalled = judged("a", "stalled", "why", at=AT + 300)
    spins = output("a", length=5, at=AT + 310)

    assert told(board(*begun(), stalled), AT + 312) == ("stalled", "nothing explains a silence of 5m12s")
    assert told(board(*begun(), stalled, spins), AT + 312) == (
        "stalled",
        "has only repeated itself for 12s",
    )
    assert told(board(*begun(), stalled, spins, judged("a", "working")), AT + 312) == ("working", "")


def test_all_troubles_of_one_are_told() -> None:
    made = board(*begun(), BLOCKED, MISMATCH, stopping("stop"))

    assert told(made) == ("stopping", "MISMATCH in stderr; KILL in 10s; output waits: No space left on device")


def test_a_mismatch_is_told_after_the_end_too() -> None:
    made = board(*begun(), exited("a"), MISMATCH, status("a", "succeeded"))

    assert told(made) == ("succeeded", "MISMATCH in stderr")


def test_a_failure_that_is_allowed_alarms_nobody() -> None:
    failed = status("a", "failed", reason="exit code 3")
    allowed = msgspec.structs.replace(failed, allowed=True)

    styles = [condition(board(*begun(), each).view.tasks[A], None, AT).style for each in (failed, allowed)]

    assert styles == ["red", "yellow"]


def retrying(retry_at: float) -> TaskStatusChanged:
    return msgspec.structs.replace(status("a", "retrying", attempt=1, reason="exit code 7"), retry_at=retry_at)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ((status("a", "pending"),), ""),
        ((*begun(),), ""),
        ((*begun(), exited("a"), retrying(AT + 2.5)), "attempt 2 in 3s: exit code 7"),
        ((*begun(), exited("a"), retrying(AT - 1)), "attempt 2 now: exit code 7"),
        ((status("a", "skipped", reason="needs b"),), "needs b"),
        ((*begun(), status("a", "failed", reason="exit code 3")), "exit code 3"),
        ((*begun(), *begun(2), status("a", "failed", reason="exit code 3")), "exit code 3, attempt 2"),
        ((*begun(), *begun(2), status("a", "succeeded")), "attempt 2"),
        (
            (msgspec.structs.replace(status("a", "failed", reason="exit code 3"), allowed=True),),
            "exit code 3 (allowed)",
        ),
    ],
)
def test_the_remark_says_why_and_what_comes_next(events: tuple[Event, ...], text: str) -> None:
    task: TaskView = board(*events).view.tasks[A]

    assert remark(task, AT) == text


def test_a_gap_is_told_while_the_worker_runs_and_after_its_end() -> None:
    gap = WorkerGap(at=AT, worker=W, attempt=1, stream="log", offset=3, lost=None, why="it was cut")

    assert told(board(*begun(), gap)) == ("running", "GAP in log")
    assert told(board(*begun(), gap, exited("a"), status("a", "succeeded"))) == ("succeeded", "GAP in log")
