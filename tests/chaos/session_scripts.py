"""What happens in a round of sessions: its prompts, what is spoilt on the way to the server, who is struck when."""

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from tests.fault_proxy import Fault, faults
from tests.model_script import Step, gate, run, say, script, spawn, think

__all__ = ["SessionScript", "Spoken", "Strike", "write_session_script"]

Kind: TypeAlias = Literal[
    "nothing",
    "cut",
    "hold",
    "away",
    "kill server",
    "freeze server",
    "kill callboard",
    "freeze callboard",
    "kill both",
]
"""``away``: nobody reaches the server for a while, and meanwhile the sessions go on."""

Opens: TypeAlias = Literal["before", "meanwhile", "after"]
_OF_MANAGED: tuple[Kind, ...] = ("kill server", "kill callboard", "kill callboard", "freeze server", "kill both")
_OF_THERE: tuple[Kind, ...] = (
    "nothing",
    "cut",
    "hold",
    "away",
    "kill server",
    "freeze server",
    "kill callboard",
    "kill callboard",
    "freeze callboard",
    "kill both",
)
_COSTLY = ("kill server", "kill both")  # it takes seconds until it is there again: once in a round
_GATES = 3


@dataclass(frozen=True, slots=True)
class Strike:
    """At a gate at which sessions wait."""

    kind: Kind
    of_all: bool
    """When all have come to the gate; else when the first has."""
    after: float
    """Seconds after that."""
    lasts: float
    """Seconds that somebody is away or frozen."""
    opens: Opens
    """When the gate is opened."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One session."""

    name: str
    prompts: tuple[str, ...]
    texts: tuple[str, ...]
    """What it says, once each, in order, children left out."""


@dataclass(frozen=True, slots=True)
class SessionScript:
    seed: int
    managed: bool
    """Callboard starts the server itself; else it is there, and a proxy stands before it."""
    sessions: tuple[Spoken, ...]
    strikes: tuple[Strike, ...]
    """One at each gate."""
    spoilt: tuple[Fault, ...]
    lossy: float

    def gate(self, number: int) -> str:
        return f"{self.seed}.{number}"

    def __str__(self) -> str:
        told = ", ".join(
            f"{each.after:.3f} s after {'all' if each.of_all else 'one'}: {each.kind} (opened {each.opens})"
            for each in self.strikes
        )
        kind = "managed" if self.managed else f"spoilt by {[*self.spoilt]}, {self.lossy:.2f} of calls"
        return f"seed {self.seed}: {len(self.sessions)} sessions, {kind}; {told}"


def write_session_script(seed: int) -> SessionScript:
    chance = random.Random(f"story of {seed}")
    managed = seed % 4 == 0
    sessions = tuple(_session(chance, seed, number) for number in range(chance.randint(2, 3)))
    kinds = chance.sample(_OF_MANAGED if managed else _OF_THERE, _GATES)
    for at in [at for at, kind in enumerate(kinds) if kind in _COSTLY][1:]:
        kinds[at] = "kill callboard"
    strikes = tuple(_strike(chance, kind) for kind in kinds)
    spoilt = () if managed else tuple(faults(seed, chance.randrange(8)))
    return SessionScript(seed, managed, sessions, strikes, spoilt, chance.choice((0.0, 0.1, 0.2)))


def _strike(chance: random.Random, kind: Kind) -> Strike:
    after = chance.choice((0.0, chance.random() * 0.3))
    opens: Opens = chance.choice(get_args(Opens))
    of_all = (
        kind == "kill both" or chance.random() < 0.5
    )  # nobody knows then that it restarted: without an answer, 60 s
    return Strike(kind, of_all, after, chance.random(), opens)


def _session(chance: random.Random, seed: int, number: int) -> Spoken:
    name = f"t{number}"
    places = ("begins", "is in its midst", "goes on", "is asked again", "ends")
    pieces = [(f"{name} {place}. {seed} ", chance.randint(2, 40)) for place in places]
    said = [say(text, times=times, size=chance.randint(5, 200)) for text, times in pieces]
    texts = [text * times for text, times in pieces]  # which the prompt itself does not have
    tool: Step = run(f"echo {name}")
    if chance.random() < 0.3:
        tool = spawn(say(f"a child of {name} {seed}"), run("echo child"), say("all"))
    first = (think("so "), said[0], gate(f"{seed}.0"), tool, said[1], gate(f"{seed}.1"), said[2])
    second = (said[3], gate(f"{seed}.2"), said[4])
    spoken = (texts[0], texts[1] + texts[2], texts[3] + texts[4])
    return Spoken(name, (script(*first), script(*second)), spoken)
