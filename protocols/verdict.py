"""What the evidence about a worker adds up to: a state, whether it is confirmed, and why.

A verdict is no action. ``quiet`` is a suspicion; ``stalled`` is confirmed: a silence that was watched for all of its
time and that nothing explains. "Unknown" is a state, wherever the evidence itself is in doubt.
"""

from math import inf

import msgspec

from protocols.durations import format_elapsed
from protocols.evidence import Evidence, Exit, contradictions
from protocols.liveness_states import State
from protocols.silence import Policy, Watch, excuses, last_output, watch
from protocols.wording import escaped, quote

__all__ = ["Verdict", "judge_liveness"]

_DOING: frozenset[State] = frozenset(("reading", "thinking", "working", "testing"))
_FACTS: frozenset[State] = frozenset(("waiting-permission", "waiting-quota", "complete", "error", "unknown"))
_ENDED_BY_FACTS: frozenset[State] = frozenset(
    ("starting", "waiting-permission", "waiting-quota", "quiet", "stalled", "complete", "error")
)


class Verdict(msgspec.Struct, frozen=True):
    state: State
    confirmed: bool
    """Nothing that is known speaks against it. Never true of a suspicion: only a confirmed verdict justifies an action.
    Of an end it says that nothing is left of the worker."""
    reasons: tuple[str, ...]
    """Short sentences for people, with the figures that led here."""
    since: float
    """When the state began, on the clock of `Evidence.now`: the last look that made sense. 0 where none did yet."""
    at: float
    """The same in Unix time, as the clock was then."""
    watch: Watch | None = None
    """What the next judgement has to know; None where no evidence made sense yet."""


class _Finding(msgspec.Struct, frozen=True):
    """What this evidence says, whatever was said before."""

    state: State
    confirmed: bool
    reasons: list[str]


def judge_liveness(evidence: Evidence, policy: Policy, previous: Verdict | None) -> Verdict:
    """Judge one worker. ``previous``: the verdict before, None at the first look at an attempt. Never raises.

    States that follow from facts (an exit, a question, a word of its own, a first or a new byte) change at once, and so
    does every doubt. Others change when the state has held for ``policy.hold``.
    """
    before = None if previous is None else previous.watch
    if wrong := contradictions(evidence):
        return _next(policy, previous, _Finding("unknown", False, wrong), before)
    explained = excuses(evidence, policy)
    waiting = _waiting(evidence)
    over = evidence.said is not None and evidence.said.word != "busy"  # nobody expects output of it
    now = watch(evidence, policy, before, excused=bool(explained) or waiting is not None or over)
    finding = (
        _ended(evidence, now)
        or _doubtful(now, before)
        or _spoken(evidence)
        or waiting
        or _idle(evidence, explained)
        or _starting(evidence, policy, now)
        or _silent(evidence, policy, now, previous)
        or _active(evidence, policy, explained, previous)
    )
    return _next(policy, previous, finding, now)


def _ended(evidence: Evidence, now: Watch) -> _Finding | None:
    exited = evidence.exit
    if exited is None:
        return None
    said = "" if evidence.said is None else evidence.said.word
    if not exited.reported:
        gone = f"its first process ended {_ago(evidence, exited.at)}, and nobody has told how"
        return _Finding("unknown", False, [gone, *_left(evidence, now)])
    reasons = [f"{_describe(exited)}, {_ago(evidence, exited.at)}"]
    if exited.wanted:
        reasons.append("somebody stopped it")
    if said == "failed":
        reasons.append("it reported a failure")
    left = _left(evidence, now)
    fine = said != "failed" and (exited.wanted or (exited.code == 0 and not exited.signal))
    return _Finding("complete" if fine else "error", not left, reasons + left)


def _left(evidence: Evidence, now: Watch) -> list[str]:
    """What keeps an end from being all of it."""
    return [
        *([f"{evidence.descendants} of its processes still run"] if evidence.descendants else []),
        *([f"{evidence.writers} processes hold its output open"] if evidence.writers else []),
        *now.trouble,
    ]


def _describe(exited: Exit) -> str:
    if exited.signal:
        return f"killed by {escaped(exited.signal)}"
    return "ended without an exit status" if exited.code is None else f"exit code {exited.code}"


def _doubtful(now: Watch, before: Watch | None) -> _Finding | None:
    reasons = list(now.trouble)
    if before is not None and before.exited:
        reasons.append("it had exited, and now it has not")
    return _Finding("unknown", False, reasons) if reasons else None


def _spoken(evidence: Evidence) -> _Finding | None:
    """It told its end, but has not exited."""
    said = evidence.said
    if said is None or said.word not in ("done", "failed"):
        return None
    what = "its result" if said.word == "done" else "a failure"
    reasons = [f"it reported {what} {_ago(evidence, said.at)}", "it still runs"]
    return _Finding("complete" if said.word == "done" else "error", False, reasons)


def _waiting(evidence: Evidence) -> _Finding | None:
    question, said, until = evidence.question, evidence.said, evidence.quota_until
    if question is not None and not (said is not None and said.word != "busy" and said.at > question.since):
        what = "permission" if question.kind == "permission" else "an answer"
        text = f": {quote(question.text)}" if question.text else ""
        return _Finding("waiting-permission", True, [f"it asked for {what} {_ago(evidence, question.since)}{text}"])
    if until is not None and until > evidence.wall:
        left = until - evidence.wall
        when = f"comes back in {format_elapsed(left)}" if left < inf else "is used up; nobody knows until when"
        return _Finding("waiting-quota", True, [f"its quota {when}"])
    return None


def _idle(evidence: Evidence, explained: list[str]) -> _Finding | None:
    said = evidence.said
    if said is None or said.word != "idle" or explained:
        return None
    return _Finding("idle", True, [f"its turn was over {_ago(evidence, said.at)}"])


def _starting(evidence: Evidence, policy: Policy, now: Watch) -> _Finding | None:
    if last_output(evidence) is not None or now.silence >= policy.quiet_after:
        return None
    if evidence.started_at is None:
        return _Finding("starting", True, [f"its start was asked for {_ago(evidence, evidence.asked_at)}"])
    if evidence.now - evidence.started_at >= policy.starting_for:
        return None
    return _Finding("starting", True, [f"started {_ago(evidence, evidence.started_at)}, no output yet"])


def _silent(evidence: Evidence, policy: Policy, now: Watch, previous: Verdict | None) -> _Finding | None:
    if now.silence < policy.quiet_after:
        return None
    reasons = [*_outputs(evidence), *_stillness(evidence)]
    output = last_output(evidence)
    if output is not None and now.sign > output:
        reasons.append(f"its silence was explained until {_ago(evidence, now.sign)}")
    watched, least = now.watched_silence, policy.stalled_after
    open_points = _unproven(evidence, policy, now)
    if watched < least:
        open_points.append(f"watched for {format_elapsed(watched)} of {format_elapsed(least)}")
    if previous is None or previous.state not in ("quiet", "stalled"):
        open_points.append("nobody suspected it before")
    if open_points:
        return _Finding("quiet", False, reasons + open_points)
    return _Finding("stalled", True, [*reasons, f"nothing explains a silence of {format_elapsed(watched)}"])


def _unproven(evidence: Evidence, policy: Policy, now: Watch) -> list[str]:
    """Why no silence, however long, can be confirmed now."""
    found = []
    if (since := now.now - now.broken_at) < policy.settle:
        found.append(f"nobody watched it until {format_elapsed(since)} ago")
    if evidence.cpu is None:
        found.append("its use of CPU cannot be read")
    return found


def _active(evidence: Evidence, policy: Policy, explained: list[str], previous: Verdict | None) -> _Finding:
    reasons = [*_outputs(evidence), *explained]
    if evidence.blocked:
        reasons.append(escaped(evidence.blocked))
    mark = evidence.mark
    doing: State = "working" if previous is None or previous.state not in _DOING else previous.state
    if mark is not None:
        doing = mark.doing
        if mark.text:
            reasons.append(f"its output shows {quote(mark.text)}")
    output = last_output(evidence)
    if explained and (output is None or evidence.now - output >= policy.quiet_after) and doing != "testing":
        doing = "working"  # whatever it said last: who only reads or thinks keeps no processor busy
    return _Finding(doing, True, reasons)


def _outputs(evidence: Evidence) -> list[str]:
    """How long ago it was heard of."""
    output, reasons = last_output(evidence), []
    if output is None:
        since = evidence.asked_at if evidence.started_at is None else evidence.started_at
        what = "asked for" if evidence.started_at is None else "started"
        reasons.append(f"no output since it was {what} {_ago(evidence, since)}")
    else:
        rate = f", {evidence.rate:.0f} B/s" if evidence.rate and evidence.repeats_since is None else ""
        reasons.append(f"last output {_ago(evidence, output)}{rate}")
    if evidence.repeats_since is not None:
        reasons.append(f"its output has only repeated itself since {_ago(evidence, evidence.repeats_since)}")
    return reasons


def _stillness(evidence: Evidence) -> list[str]:
    """What else there is to know of a silent worker."""
    reasons = []
    if evidence.last_beat is not None:
        reasons.append(f"its connection lived {_ago(evidence, evidence.last_beat)}, which says nothing of its work")
    if evidence.said is not None and evidence.said.word == "busy":
        reasons.append(f"it called itself busy {_ago(evidence, evidence.said.at)}")
    if evidence.cpu is not None:
        reasons.append(f"its processes use {evidence.cpu:.2f} CPUs")
    if evidence.descendants:
        reasons.append(f"{evidence.descendants} descendants live")
    if evidence.zombies:
        reasons.append(f"{evidence.zombies} of its children ended and it does not wait for them")
    if evidence.writers == 0:
        reasons.append("it has closed its output")
    return reasons


def _ago(evidence: Evidence, at: float) -> str:
    return f"{format_elapsed(max(evidence.now - at, 0.0))} ago"


def _next(policy: Policy, previous: Verdict | None, finding: _Finding, now: Watch | None) -> Verdict:
    """The finding, or the state before it where that has to hold a little longer."""
    reasons = tuple(finding.reasons)
    moment, at = (0.0, 0.0) if now is None else (now.now, now.wall)
    same = previous is not None and finding.state == previous.state
    if previous is None or not (same or _holds(policy, previous, finding, now)):
        return Verdict(finding.state, finding.confirmed, reasons, moment, at, now)
    if not same:
        reasons += (f"it looks {finding.state} now; {previous.state} holds for {format_elapsed(policy.hold)}",)
    return Verdict(previous.state, same and finding.confirmed, reasons, min(previous.since, moment), previous.at, now)


def _holds(policy: Policy, previous: Verdict, finding: _Finding, now: Watch | None) -> bool:
    """Whether the evidence against the state before is too weak for a change already."""
    if finding.state in _FACTS or (previous.state in _ENDED_BY_FACTS and finding.state != "stalled"):
        return False
    if now is None or previous.watch is None or now.said != previous.watch.said:
        return False
    return now.now - min(previous.since, now.now) < policy.hold
