"""Secrets in events: taken out of texts, and out of nothing without which an event could not be read."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from protocols.event_codec import decode_event, encode_event
from protocols.events import AttemptStarting, TaskStatusChanged, WorkerOutput, WorkerVerdict
from protocols.ids import AttemptId, TaskId, WorkerId
from protocols.redacted_events import redact_event
from protocols.redaction import Redactor

SECRET = "task.output"
REDACTOR = Redactor.of_values([("S", SECRET)])


def test_texts_are_redacted_in_whatever_they_stand() -> None:
    starting = AttemptStarting(
        at=1.0, worker=WorkerId("a"), attempt=1, id=AttemptId("x"), argv=("echo", f"<{SECRET}>"), cwd="/"
    )
    verdict = WorkerVerdict(
        at=1.0, worker=WorkerId("a"), attempt=1, state="quiet", confirmed=False, reasons=(f"it asks for {SECRET}",)
    )

    assert redact_event(starting, REDACTOR) == msgspec.structs.replace(starting, argv=("echo", "<***S***>"))
    assert redact_event(verdict, REDACTOR) == msgspec.structs.replace(verdict, reasons=("it asks for ***S***",))


def test_names_of_ours_stay_and_what_holds_none_is_the_same() -> None:
    changed = TaskStatusChanged(at=1.0, task=TaskId(SECRET), status="failed", reason=SECRET)
    output = WorkerOutput(at=1.0, worker=WorkerId(SECRET), attempt=1, stream="stdout", offset=0, length=5)

    assert redact_event(changed, REDACTOR) == msgspec.structs.replace(changed, reason="***S***")
    assert redact_event(output, REDACTOR) is output


@given(st.sampled_from(["succeeded", "stdout", "task.status_changed", "aaaaaaaa"]), st.text())
def test_whatever_a_secret_is_its_events_can_be_read_again(secret: str, text: str) -> None:
    event = TaskStatusChanged(at=1.0, task=TaskId("aaaaaaaa"), status="succeeded", reason=f"{text}{secret}")

    made = decode_event(encode_event(redact_event(event, Redactor.of_values([("S", secret)]))))

    assert isinstance(made, TaskStatusChanged)
    assert (made.task, made.status) == ("aaaaaaaa", "succeeded")
