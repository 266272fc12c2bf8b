"""Which role a task has that names none: by the words of its id and its prompt."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from protocols.wording import quote

__all__ = ["NOT_DETECTED", "Detection", "detect_role"]

NOT_DETECTED = "command"
"""The role of a task whose words tell too little, or as much of one role as of another: it adds nothing."""

_WORDS: dict[str, dict[str, int]] = {
    "test-specialist": {
        **dict.fromkeys(("test", "tests", "pytest", "coverage", "unittest", "hypothesis", "fixture", "fixtures"), 2),
        "regression": 1,
    },
    "documentation-specialist": {
        **dict.fromkeys(("documentation", "readme", "docs", "docstring", "docstrings", "changelog", "tutorial"), 3),
        "document": 2,
        "explain": 1,
    },
    "refactoring-specialist": {
        **dict.fromkeys(("refactor", "refactoring", "restructure", "deduplicate"), 4),
        **dict.fromkeys(("rename", "simplify", "extract", "split", "cleanup"), 2),
    },
    "code-generator": {
        **dict.fromkeys(("implement", "generate", "scaffold"), 3),
        **dict.fromkeys(("create", "write", "build", "add"), 1),
        "feature": 2,
    },
    "bug-fixer": {
        **dict.fromkeys(("bug", "fix", "bugfix", "crash", "traceback", "regression"), 3),
        **dict.fromkeys(("broken", "fails", "failing", "error", "wrong"), 1),
    },
    "performance-optimizer": {
        **dict.fromkeys(("performance", "optimize", "optimise", "benchmark", "profile", "profiling"), 4),
        **dict.fromkeys(("faster", "slow", "latency", "throughput", "memory"), 2),
    },
    "planner": {**dict.fromkeys(("plan", "roadmap", "milestones", "breakdown"), 4), "design": 2, "steps": 1},
    "reviewer": {**dict.fromkeys(("review", "audit", "critique"), 4), "check": 1, "judge": 2},
}
_ORCHESTRATING = frozenset(("orchestrate", "orchestrator", "delegate", "subagents", "sub-agents", "coordinate"))
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_ENOUGH = 4
_LEAD = 2
_ID_COUNTS = 2
_READ = 2000  # characters of a prompt: what comes later is material
_SHOWN = 4


class Detection(NamedTuple):
    role: str
    score: int
    """What its words count together; 0 where none says anything."""
    reason: str


def detect_role(task: str, prompt: str) -> Detection:
    """By the id of the task and its first prompt. Each word counts once, in the id twice.

    Never ``meta-orchestrator``: who spawns others has to be told so.
    """
    said, named = set(_words(prompt[:_READ])), {word for part in _words(task) for word in (part, *part.split("-"))}
    if found := sorted((said | named) & _ORCHESTRATING):
        why = f"its words ({', '.join(found)}) are those of a meta-orchestrator, which only a plan can name"
        return Detection(NOT_DETECTED, 0, f'{why}: write role = "meta-orchestrator" if it is one')
    scores = {role: _score(words, said, named) for role, words in _WORDS.items()}
    (best, most), (second, next_most) = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:2]
    if most < _ENOUGH:
        return Detection(NOT_DETECTED, most, "its words tell too little" if most else "its words tell nothing")
    if most - next_most < _LEAD:
        return Detection(NOT_DETECTED, most, f"its words tell as much of {quote(best)} as of {quote(second)}")
    words = sorted((said | named) & _WORDS[best].keys(), key=lambda word: (-_WORDS[best][word], word))[:_SHOWN]
    return Detection(best, most, f"its words: {', '.join(words)}")


def _score(words: dict[str, int], said: set[str], named: set[str]) -> int:
    return sum(weight * (_ID_COUNTS if word in named else 1) for word, weight in words.items() if word in said | named)


def _words(text: str) -> Iterable[str]:
    return _WORD.findall(text.lower().replace("_", "-"))
