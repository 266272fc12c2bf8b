"""``python -m tests.chaos``: rounds of chaos, one seed after the other."""

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.rounds import Round

__all__ = ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Rounds of chaos, without end.")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further one has the next number")
    parser.add_argument("--rounds", type=int, help="how many; without end where nothing is said")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first round with a fault")
    arguments = parser.parse_args()
    last = None if arguments.rounds is None else arguments.seed + arguments.rounds
    failed = []
    for seed in itertools.count(arguments.seed) if last is None else range(arguments.seed, last):
        if not _play(seed):
            failed.append(seed)
            if not arguments.keep_going:
                break
    if failed:
        sys.exit(f"failed: {', '.join(map(str, failed))}; again: SEED={failed[0]} make soak ROUNDS=1")


def _play(seed: int) -> bool:
    folder = Path(tempfile.mkdtemp(prefix=f"callboard-chaos-{seed}-"))
    played = Round(seed, folder)
    try:
        faults = played.play()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        faults = [f"{type(error).__name__}: {error}"]
    print(f"seed {seed}: {'fine' if not faults else 'FAULTS'}", flush=True)
    if faults:
        print("\n".join([*played.story, *faults, f"all of it is in {folder}"]), flush=True)
        return False
    shutil.rmtree(folder)
    return True


if __name__ == "__main__":
    main()
