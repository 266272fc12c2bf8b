"""``python -m tests.chaos``: rounds of chaos, one seed after the other; of workers, and of sessions."""

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.chaos.rounds import Round
from tests.chaos.session_rounds import SessionRound
from tests.opencode import open_opencode, opencode_program
from tests.scripted_model import open_model

__all__ = ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Rounds of chaos, without end.")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further one has the next number")
    parser.add_argument("--rounds", type=int, help="how many; without end where nothing is said")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first round with a fault")
    parser.add_argument("--only", choices=("workers", "sessions"), help="rounds of these alone")
    arguments = parser.parse_args()
    last = None if arguments.rounds is None else arguments.seed + arguments.rounds
    failed = []
    with ExitStack() as stack:
        kinds = list[Kind]()
        if arguments.only != "sessions":
            kinds.append(Kind("workers", Round))
        if arguments.only != "workers" and _has_opencode():
            kinds.append(Kind("sessions", _rounds_of_sessions(stack)))
        for seed in itertools.count(arguments.seed) if last is None else range(arguments.seed, last):
            if not all(_play(kind, seed) for kind in kinds):
                failed.append(seed)
                if not arguments.keep_going:
                    break
    if failed:
        sys.exit(f"failed: {', '.join(map(str, failed))}; again: SEED={failed[0]} make soak ROUNDS=1")


class Played(Protocol):
    story: list[str]

    def play(self) -> list[str]: ...


@dataclass(frozen=True)
class Kind:
    name: str
    begin: Callable[[int, Path], Played]


def _has_opencode() -> bool:
    try:
        opencode_program()
    except pytest.skip.Exception as missing:
        print(f"no rounds of sessions: {missing}", flush=True)
        return False
    return True


def _rounds_of_sessions(stack: ExitStack) -> Callable[[int, Path], Played]:
    """All on one server."""
    model = stack.enter_context(open_model())
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-chaos-opencode-")))
    server = stack.enter_context(open_opencode(folder, model.url))
    return lambda seed, folder: SessionRound(seed, folder, server, model)


def _play(kind: Kind, seed: int) -> bool:
    folder = Path(tempfile.mkdtemp(prefix=f"callboard-chaos-{kind.name}-{seed}-"))
    played = kind.begin(seed, folder)
    try:
        faults = played.play()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        faults = [f"{type(error).__name__}: {error}"]
    print(f"{kind.name}, seed {seed}: {'fine' if not faults else 'FAULTS'} ({played.story[-1].strip()})", flush=True)
    if faults:
        print("\n".join([*played.story, *faults, f"all of it is in {folder}"]), flush=True)
        return False
    shutil.rmtree(folder)
    return True


if __name__ == "__main__":
    main()
