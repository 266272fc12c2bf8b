"""What happens in a round: its plan, its settings and who is struck when, all of it from one number."""

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from tests.running import task

__all__ = ["Script", "Strike", "write_script"]

Kind: TypeAlias = Literal[
    "kill supervisor",
    "kill keeper",
    "kill both",
    "freeze supervisor",
    "freeze keeper",
    "stop",
    "force",
    "interrupt",
    "kill worker",
    "terminate worker",
    "freeze worker",
]
After: TypeAlias = Literal["resume", "look", "stop"]
"""What is done about a run whose supervisor is gone."""

_KINDS: tuple[Kind, ...] = get_args(Kind)
_DEATHS = _KINDS[:3]  # twice as likely as the others
_LONGEST = "4s"  # nobody wakes a worker that was frozen
_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True, slots=True)
class Strike:
    kind: Kind
    after: float
    """Seconds after the one before it, or after the first worker of this supervisor has begun."""
    lasts: float
    """Seconds that somebody is frozen."""
    early: bool
    """It does not wait for a worker to begin."""


@dataclass(frozen=True, slots=True)
class Script:
    seed: int
    plan: tuple[str, ...]
    settings: str
    strikes: tuple[Strike, ...]
    durable: bool
    after: After

    def __str__(self) -> str:
        told = ", ".join(f"{each.after:.3f} s: {each.kind}{' (early)' * each.early}" for each in self.strikes)
        kind = "durable" if self.durable else "attached"
        return f"seed {self.seed}: {len(self.plan) - 1} tasks, {kind}; {told or 'no strikes'}; then {self.after}"


def write_script(seed: int, ledgers: Path) -> Script:
    """``ledgers``: the folder where the workers note what they do."""
    chance = random.Random(seed)
    strikes = tuple(_strike(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4))))
    durable = chance.random() < 0.5
    after: After = chance.choice(("resume", "resume", "stop") if durable else ("resume", "look", "look"))
    defaults = f'[defaults]\nconcurrency = {chance.choice((2, 4, 16))}\ntimeout = "{_LONGEST}"\n'
    marked = _may_lose_both(strikes)
    tasks = [_task(chance, f"{seed}.{at}", at, ledgers, marked=marked) for at in range(chance.randint(3, 5))]
    linger, heartbeat = chance.choice((50, 200, 500)), chance.choice((100, 5000))
    settings = f'[stop]\nlinger = "{linger}ms"\n[liveness]\nheartbeat = "{heartbeat}ms"\n'
    return Script(seed, (defaults, *tasks), settings, strikes, durable, after)


def _strike(chance: random.Random) -> Strike:
    after = chance.choice((0.0, chance.random() * 0.1, chance.random()))
    return Strike(chance.choice(_KINDS + _DEATHS), after, chance.random() * 0.5, chance.random() < 0.15)


def _may_lose_both(strikes: tuple[Strike, ...]) -> bool:
    """Then nobody promises to find a process that hides its mark."""
    kinds = {strike.kind for strike in strikes}
    return "kill both" in kinds or {"kill supervisor", "kill keeper"} <= kinds


def _task(chance: random.Random, seed: str, number: int, ledgers: Path, *, marked: bool) -> str:
    terminal, stays = chance.random() < 0.25, chance.random() < 0.2
    chosen = {"terminal": terminal, "stays": stays, "runners": chance.random() < 0.2, "marked": marked}
    traits = [trait for trait, has in chosen.items() if has]
    keys: dict[str, object] = {"grace": f"{chance.choice((50, 300, 1000))}ms", "retries": chance.choice((0, 0, 0, 1))}
    keys["backoff"] = f"{chance.choice((10, 100))}ms"
    if stays or chance.random() < 0.3:
        keys["timeout"] = f"{chance.randint(200, 1200)}ms"
    if terminal:
        keys["source"] = "pty"
    if number and chance.random() < 0.3:
        keys["needs"] = [f"t{chance.randrange(number)}"]
    elif chance.random() < 0.15:  # it fails each time, or never
        del keys["retries"]
        keys["restart"] = {"when": "on-failure", "limit": 2}
    if chance.random() < 0.5:
        keys["allow_failure"] = True
    return task(f"t{number}", [sys.executable, "-I", "-S", str(_WORKER), seed, str(ledgers), *traits], **keys)
