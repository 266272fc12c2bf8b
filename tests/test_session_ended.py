"""What the end of a session's last prompt comes to as the end of its attempt."""

from typing import Any

import pytest

from protocols.ids import AttemptId
from protocols.keeper import Ended, Stop
from protocols.kinds import EndReason
from protocols.session_changes import PromptEnded
from protocols.session_ended import ended_attempt

A = AttemptId("a")
AT = 1000.0


def ended(*said: Any, reason: EndReason = "exit", resumed: bool = False, detail: str = "") -> Ended:
    stop = Stop(attempt=A, grace=1.0, reason=reason, detail=detail) if reason != "exit" else None
    end = PromptEnded("m", *said)
    return ended_attempt(end, A, reason=reason, stop=stop, resumed=resumed, at=AT, size=7)


def test_a_completed_prompt_is_exit_code_0_without_a_word() -> None:
    found = ended("completed", "Well.", "a word")

    assert (found.code, found.reason, found.detail, found.session_bytes) == (0, "exit", "", 7)


def test_a_failure_is_told_with_its_code_and_is_final_where_the_server_says_so() -> None:
    refused = ended("failed", "", "no such key", "APIError", 401, False)
    broken = ended("failed", "", "it fell", "APIError", 500, True)

    assert (refused.code, refused.detail, refused.final) == (1, "no such key (APIError)", True)
    assert (broken.code, broken.final, broken.quota) == (1, False, False)


@pytest.mark.parametrize(("after", "until"), [("30", AT + 30), ("", None), ("soon", None)])
def test_who_has_no_quota_is_told_so_with_the_moment_at_which_there_is_some(after: str, until: float | None) -> None:
    found = ended("failed", "", "slow down", "APIError", 429, True, after)

    assert (found.quota, found.quota_until) == (True, until)


def test_one_that_was_stopped_ends_for_that_reason_and_with_its_words() -> None:
    silent = ended("aborted", "", "it was aborted", "aborted", reason="quiet", detail="nothing was heard of it")
    asked = ended("aborted", "", "it was aborted", "aborted", reason="stop")

    assert (silent.code, silent.reason, silent.detail) == (None, "quiet", "nothing was heard of it")
    assert (asked.reason, asked.detail) == ("stop", "it was aborted (aborted)")


@pytest.mark.parametrize(("resumed", "reason"), [(True, "orphaned"), (False, "lost")])
def test_one_whose_server_is_gone_is_nobodys_failure_where_that_went_with_callboard(resumed: bool, reason: str) -> None:
    found = ended("lost", "", "it is gone", "restarted", resumed=resumed)

    assert (found.code, found.reason) == (None, reason)
