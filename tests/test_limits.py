"""The limit of open files: raised for us, the user's own for what we start."""

import subprocess
import sys

_PROGRAM = """
import resource, subprocess
from actors.limits import raise_open_files, users_open_files

def limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)

def childs():
    return int(subprocess.run(["sh", "-c", "ulimit -Sn"], capture_output=True, check=True).stdout)

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
{steps}
"""


def _run(steps: str) -> None:
    """In a process of its own: the limit is the process's, and a hard limit cannot be raised again."""
    subprocess.run([sys.executable, "-c", _PROGRAM.format(steps=steps)], check=True)


def test_we_take_all_that_is_allowed_and_what_we_start_gets_what_the_user_had() -> None:
    _run(
        """
raise_open_files()
assert limit() == (200, 200)
assert childs() == 200
with users_open_files():
    assert childs() == 100
assert limit() == (200, 200)
"""
    )


def test_said_twice_the_users_own_limit_is_still_known() -> None:
    _run("raise_open_files(); raise_open_files()\nwith users_open_files(): assert childs() == 100")


def test_a_limit_that_was_never_raised_is_the_users_own() -> None:
    _run("with users_open_files(): assert childs() == 100\nassert limit() == (100, 200)")


def test_an_error_inside_gives_us_back_what_we_had() -> None:
    _run(
        """
raise_open_files()
try:
    with users_open_files():
        raise OSError
except OSError:
    assert limit() == (200, 200)
"""
    )
