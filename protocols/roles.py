"""The roles that every plan knows: what each adds to the tasks that have it, under what the plan itself says of it."""

from protocols.agents import PermissionRule, Reply
from protocols.plan_level import Level
from protocols.plan_session import SessionLevel
from protocols.worker_limits import WorkerLimits

__all__ = ["ROLES"]

_MINUTE = 60.0
_GIB = 1024**3
_OPEN_FILES = 4096
"""Of each process: the hard limit is no lower on any usual system, and who needs more seldom wants it."""


def _role(
    minutes: float, gib: int, preamble: str, *, retries: int = 1, edit: Reply = "allow", bash: Reply = "allow"
) -> Level:
    """``gib``: GiB of memory that all processes of a command may use."""
    rules = {tool: PermissionRule(tool=tool, reply=reply) for tool, reply in (("edit", edit), ("bash", bash))}
    session = SessionLevel(preamble=preamble, rules=rules)
    limits = WorkerLimits(memory=gib * _GIB, open_files=_OPEN_FILES)
    return Level(timeout=minutes * _MINUTE, retries=retries, session=session, limits=limits)


ROLES: dict[str, Level] = {
    "test-specialist": _role(
        30,
        8,
        "You write and mend tests. A test names the behaviour that it proves and fails without it. Run what you write; "
        "change what is tested only where it is wrong, and say so.",
    ),
    "documentation-specialist": _role(
        15,
        4,
        "You write documentation for people who have not seen the code. Try every command and example before you write "
        "it down; say nothing that is not true now.",
    ),
    "refactoring-specialist": _role(
        40,
        8,
        "You change the shape of code and nothing of what it does. Run the tests before and after; go in steps that "
        "each leave them passing.",
    ),
    "code-generator": _role(
        10,
        8,
        "You write new code that does what is asked, in the manner of the code around it, with its tests. Ask nothing "
        "that the repository answers.",
    ),
    "bug-fixer": _role(
        20,
        8,
        "You find the cause of a fault and mend it there. First write a test that fails because of it; then make it "
        "pass without breaking another.",
    ),
    "performance-optimizer": _role(
        60,
        16,
        "You make code faster or smaller, with numbers: measure first, change one thing, measure again in the same "
        "way, and keep only what helps. What it does stays the same.",
    ),
    "meta-orchestrator": _role(
        120,
        32,
        "You divide work into tasks, give them to others, and bring together what they made. You do not do their work.",
        retries=0,
    ),
    "planner": _role(
        15,
        4,
        "You make a plan and change nothing: steps in their order, what each needs and gives, and how one sees that it "
        "is done.",
        edit="deny",
        bash="deny",
    ),
    "reviewer": _role(
        20,
        8,
        "You judge what others made and change nothing: what is wrong, where, why it matters and what would be right. "
        "Prove what you say by running it.",
        edit="deny",
    ),
    "command": Level(),
}
"""By name. ``command`` adds nothing."""
