"""``callboard token`` makes tokens of that of the admin."""

import os
import time
from pathlib import Path

from protocols.tokens import Grant, check_token
from tests.running import callboard

_SECRET = "a" * 43


def _state(folder: Path) -> None:
    (folder / ".callboard").mkdir(mode=0o700)
    with open(os.open(folder / ".callboard" / "token", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:  # noqa: PTH123
        file.write(f"{_SECRET}\n")


def test_a_token_has_the_scope_the_name_and_the_time_that_were_asked_for(tmp_path: Path) -> None:
    _state(tmp_path)

    plain = callboard(tmp_path, "token").stdout.strip()
    named = callboard(tmp_path, "token", "--scope", "operate", "--name", "ci", "--valid", "1h").stdout.strip()

    assert check_token(_SECRET, plain, time.time()) == Grant(scope="read", name="guest")
    grant = check_token(_SECRET, named, time.time())
    assert grant is not None
    assert (grant.scope, grant.name) == ("operate", "ci")
    assert check_token(_SECRET, named, grant.expires) is None


def test_what_cannot_be_a_token_is_said(tmp_path: Path) -> None:
    nowhere = callboard(tmp_path, "token", code=2).stderr
    _state(tmp_path)
    name = callboard(tmp_path, "token", "--name", "a.b", code=2).stderr
    valid = callboard(tmp_path, "token", "--valid", "5", code=2).stderr

    assert "there is none yet; `callboard up` makes it" in nowhere
    assert name.startswith("error: --name: a token cannot be named")
    assert valid == 'error: --valid: a duration needs a unit; write "5s"\n'
