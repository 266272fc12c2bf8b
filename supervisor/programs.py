"""Examining the programs of others that some plans need: are they there, and will they do?"""

from collections.abc import Iterator

from actors.opencode_program import find_opencode
from actors.tmux_program import find_tmux, tmux_problem
from protocols.opencode import TESTED_VERSIONS
from supervisor.findings import Finding

__all__ = ["find_programs"]


def find_programs(path: str) -> Iterator[Finding]:
    """``path``: the PATH on which they are looked for."""
    yield _tmux(path)
    yield _opencode(path)


def _tmux(path: str) -> Finding:
    program, version = find_tmux(path)
    found, _, advice = tmux_problem(path).partition("; ")
    if advice:
        return Finding("tmux", "warn", found, f'{advice} for source = "tmux"')
    return Finding("tmux", "ok", f"{version} at {program}")


def _opencode(path: str) -> Finding:
    """Only plans with agents need it, so its absence is no warning."""
    program, version = find_opencode(path)
    install = f"npm install --global opencode-ai@{TESTED_VERSIONS[-1]}"
    if not program:
        return Finding(
            "opencode", "ok", "not on PATH; everything but agents of that kind works", f"for those, {install}"
        )
    if not version:
        return Finding("opencode", "warn", f"{program} does not tell its version; is it OpenCode?", install)
    if version in TESTED_VERSIONS:
        return Finding("opencode", "ok", f"{version} at {program}, with which callboard was tested")
    tested = ", ".join(TESTED_VERSIONS)
    advice = f"it may work; if sessions end in odd ways: {install}"
    return Finding("opencode", "warn", f"{version} at {program}; callboard was tested with {tested}", advice)
