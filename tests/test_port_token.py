"""The token of a state folder: made once, for its owner alone."""

from pathlib import Path

import pytest

from protocols.errors import StateError
from protocols.layout import StateFolder
from supervisor.port_token import find_token


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    token = find_token(StateFolder(tmp_path))

    assert find_token(StateFolder(tmp_path)) == token
    assert len(token) > 40
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_one_that_others_could_read_is_refused(tmp_path: Path) -> None:
    find_token(StateFolder(tmp_path))
    (tmp_path / "token").chmod(0o640)

    with pytest.raises(StateError, match="others could have read"):
        find_token(StateFolder(tmp_path))


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x" * 40)
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateError, match="it is no file of ours"):
        find_token(StateFolder(tmp_path))


@pytest.mark.parametrize("text", ["", "short", "x" * 300, "admin.a.0.with-points-in-it", "\N{SNOWMAN}" * 20])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    (tmp_path / "token").chmod(0o600)

    with pytest.raises(StateError, match="there is no token in it"):
        find_token(StateFolder(tmp_path))
