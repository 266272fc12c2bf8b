"""Which words, programs and paths tell of which role, and how much. Found by hand; 4 together are enough."""

__all__ = ["ENDINGS", "FOLDERS", "ORCHESTRATING", "PROGRAMS", "WORDS"]

WORDS: dict[str, dict[str, int]] = {
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
PROGRAMS: dict[str, frozenset[str]] = {
    "test-specialist": frozenset(("pytest", "tox", "nox", "jest", "vitest", "phpunit", "rspec", "ctest", "unittest")),
    "documentation-specialist": frozenset(("mkdocs", "sphinx-build", "pdoc", "doxygen", "typedoc", "rustdoc")),
    "refactoring-specialist": frozenset(("jscodeshift", "comby", "rector")),
    "code-generator": frozenset(("protoc", "cookiecutter", "copier", "openapi-generator")),
    "bug-fixer": frozenset(("gdb", "lldb", "rr")),
    "performance-optimizer": frozenset(("hyperfine", "perf", "py-spy", "wrk", "valgrind", "cachegrind")),
    "reviewer": frozenset(("ruff", "mypy", "flake8", "pylint", "pyright", "eslint", "shellcheck", "bandit")),
}
"""The names of programs, wherever they stand in a command: ``uv run pytest``."""
FOLDERS: dict[str, frozenset[str]] = {
    "test-specialist": frozenset(("test", "tests", "spec", "__tests__")),
    "documentation-specialist": frozenset(("doc", "docs")),
    "performance-optimizer": frozenset(("bench", "benches", "benchmarks")),
}
ENDINGS: dict[str, frozenset[str]] = {
    "documentation-specialist": frozenset((".md", ".rst", ".adoc")),
    "test-specialist": frozenset((".feature",)),
}
ORCHESTRATING = frozenset(
    ("orchestrate", "orchestrator", "delegate", "subagents", "sub-agents", "sub-agent", "coordinate")
)
