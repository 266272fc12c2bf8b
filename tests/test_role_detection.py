"""Which role the words of a task tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.role_detection import NOT_DETECTED, Said, detect_role
from protocols.role_words import PROGRAMS, WORDS
from protocols.roles import ROLES


@pytest.mark.parametrize(
    ("said", "role"),
    [
        (Said("fix-login", prompt="It crashes with a traceback; find out why."), "bug-fixer"),
        (Said("unit_tests", prompt="Cover the parser with pytest."), "test-specialist"),
        (Said("docs", prompt="Bring the README up to date."), "documentation-specialist"),
        (Said("speed", prompt="Make it faster and show a benchmark."), "performance-optimizer"),
        (Said("review", prompt="Look at the last commit."), "reviewer"),
        (Said("feature", prompt="Implement export to CSV, a feature."), "code-generator"),
        (Said("a", title="Roadmap of the year"), "planner"),
        (Said("a", title="Rename and simplify"), "refactoring-specialist"),
        (Said("a", files=("tests/api/a.py", "tests/fixtures.json")), "test-specialist"),
        (Said("a", files=("docs/guide.md",)), "documentation-specialist"),
        (Said("a", command=("/usr/bin/hyperfine", "./a")), "performance-optimizer"),
        (Said("a", command=("python3", "-m", "mypy", "src")), "reviewer"),
        (Said("a", prompt="Look around."), NOT_DETECTED),
        (Said("a", prompt="Review the plan."), NOT_DETECTED),
        (Said("a", command=("make", "test")), NOT_DETECTED),
        (Said("a", command=("python", "-c", "import pytest; pytest.main()")), NOT_DETECTED),
        (Said("lead", prompt="Orchestrate ten agents that write tests with pytest."), NOT_DETECTED),
        (Said("lead", title="Delegate", command=("pytest", "tests")), NOT_DETECTED),
    ],
)
def test_a_role_is_found_by_what_a_plan_says_of_a_task(said: Said, role: str) -> None:
    assert detect_role(said).role == role


def test_the_words_that_told_are_named_with_their_places_and_count_once() -> None:
    found = detect_role(Said("fix", "Fix it", "Fix the crash.", ("a/fix.py",), ("fix", "fix")))

    assert (found.role, found.score) == ("bug-fixer", 9)
    assert found.reason == "by fix (id), crash (prompt)"


_WORDS = [word for weights in WORDS.values() for word in weights] + [
    name for each in PROGRAMS.values() for name in each
]
_TEXTS = st.text() | st.lists(st.sampled_from([*_WORDS, "a", "orchestrate"])).map(" ".join)
_PATHS = st.lists(st.text() | st.sampled_from([*_WORDS, "tests", "docs", "a.md", "/"]), max_size=4)
_SAID = st.builds(Said, _TEXTS, _TEXTS, _TEXTS, _PATHS.map(tuple), _PATHS.map(tuple))


@given(_SAID)
def test_nobody_becomes_a_meta_orchestrator_by_words_and_every_choice_has_a_reason(said: Said) -> None:
    found = detect_role(said)

    assert found.reason
    assert found.role in ROLES
    assert found.role != "meta-orchestrator"
    assert found.role == NOT_DETECTED or found.score >= 4


@given(_SAID)
def test_the_order_of_files_and_arguments_makes_no_difference(said: Said) -> None:
    other = said._replace(files=said.files[::-1], command=said.command[::-1])

    assert detect_role(other)[:2] == detect_role(said)[:2]


@given(_SAID)
def test_a_task_that_says_nothing_more_than_another_scores_no_less(said: Said) -> None:
    less, more = detect_role(said._replace(title="")), detect_role(said)

    assert more.score >= less.score or more.reason.startswith("its words (")
