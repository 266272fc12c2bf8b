"""When a prompt is over, and how it ended: the rules.

Measured on opencode 1.18: an idle session is over when its newest answer is complete; after an error or an abort there
is an earlier idle, which is a forerunner. ``session.status`` may say busy for ever; after a restart of the server
nothing is ever completed; and between a prompt and the first sign of its answer a loaded server may take many seconds.
"""

from dataclasses import dataclass

from protocols.opencode_dialect import Problem
from protocols.session_changes import PromptEnded
from protocols.session_events import Outcome
from protocols.session_state import Message, SessionState, Word

__all__ = ["BUSY_TOO_LONG", "Prompt", "answer_to", "is_certain", "is_over", "pause_of", "result"]

_FORERUNNER = 10.0  # seconds; the idle that counts comes 0.1 s after its forerunner
BUSY_TOO_LONG = (
    20.0  # the last word was said, and still it calls itself busy; between two steps of a run there are 2 s at most
)
_UNANSWERED = 60.0  # a cold server with 32 folders took 20 s to its first sign
_ABORTED = 3.0


@dataclass(slots=True)
class Prompt:
    """One that was sent and is not over."""

    message: str
    text: str
    number: int
    sent_at: float
    seen_at: float | None = None
    """When the server first showed it."""
    created: float = 0.0
    """Milliseconds of the server's clock."""


def answer_to(prompt: Prompt, session: SessionState) -> Message | None:
    """The newest answer, if it is to this prompt or to a later one that joined it."""
    newest = session.newest
    if newest is None or prompt.seen_at is None:
        return None
    return newest if newest.parent == prompt.message or newest.created > prompt.created else None


def is_over(prompt: Prompt, session: SessionState, *, failed: bool) -> bool:
    """By what the stream tells: it is idle since its newest answer is complete; or it told an error and rests since
    then (``failed``) without having begun an answer, as where there is no such model."""
    answer = answer_to(prompt, session)
    if answer is None:
        return failed and prompt.seen_at is not None
    if answer.completed_step is None:
        return False
    return session.word == "idle" and session.idle_step > answer.completed_step


def is_certain(answer: Message | None, *, aborted: bool) -> bool:
    """Nothing could follow on the newest answer. Else, as where a permission was rejected, there might be another one
    of which we have not heard."""
    return answer is None or answer.is_last_word or aborted


def pause_of(word: Word, answer: Message | None, *, aborted: bool) -> float | None:
    """How long a snapshot with this status has to hold, with nothing happening, until the prompt is over whatever else
    is missing; None: it may go on."""
    if word == "idle":
        if answer is not None and answer.is_last_word:
            return 0.0
        if aborted:
            return _ABORTED
        return _UNANSWERED if answer is None else _FORERUNNER
    return BUSY_TOO_LONG if answer is not None and answer.is_last_word else None


def result(
    prompt: Prompt,
    answer: Message | None,
    text: str,
    *,
    aborted: Outcome | None,
    told: Problem | None,
    lost: str,
    why: str = "",
) -> PromptEnded:
    """How it ended. ``aborted``: somebody of us asked for the end, and this is what it is then. ``told``: an error of
    the session. ``lost``: a code for why there is no more, where the answer is not complete; ``why`` in words."""
    message = prompt.message
    complete = answer is not None and answer.completed_step is not None
    if complete and answer is not None and answer.error is None and answer.finish == "stop":
        return PromptEnded(message, "completed", text)
    error = answer.error if answer is not None and answer.error is not None else told
    was_aborted = error is not None and error.name == "MessageAbortedError"
    if aborted is not None and (was_aborted or error is None):
        return PromptEnded(message, aborted, text, _ENDED[aborted], aborted)
    if was_aborted:
        return PromptEnded(message, "aborted", text, "somebody else aborted it, or its server was shut down", "aborted")
    if error is not None:
        return _failed(message, text, error)
    if not complete or answer is None:
        return PromptEnded(message, "lost", text, why or _LOST[lost], lost, retryable=True)
    code = {"tool-calls": "rejected", "": "unfinished"}.get(answer.finish, answer.finish)
    return PromptEnded(message, "failed", text, _UNFINISHED.get(code, f"its answer ended with {answer.finish}"), code)


def _failed(message: str, text: str, error: Problem) -> PromptEnded:
    data = error.data
    status = None if data is None else data.status_code
    retryable = data is not None and bool(data.is_retryable)
    headers = {} if data is None else data.response_headers or {}
    after = str(headers.get("retry-after", ""))
    return PromptEnded(message, "failed", text, error.message, error.name, status, retryable, after)


_ENDED: dict[Outcome, str] = {"aborted": "it was aborted", "timed-out": "its time was over"}
_LOST = {
    "restarted": "its server was started again in the midst of it",
    "no-answer": "its session rests without an answer",
    "deleted": "its session was deleted",
    "given-up": "nothing was heard of its end",
}
_UNFINISHED = {
    "length": "its answer was cut off: it has as many tokens as the model may say",
    "rejected": "a permission or question was rejected",
    "unfinished": "its answer has no end",
}
