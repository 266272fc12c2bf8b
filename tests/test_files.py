import os
from pathlib import Path

import pytest

from actors.files import make_folder, replace_file


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_what_is_made_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "folder")
        replace_file(tmp_path / "file", b"text")
    finally:
        os.umask(before)

    assert (tmp_path / "folder").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o600


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", b"old and long")
    with (tmp_path / "file").open("rb") as reader:
        replace_file(tmp_path / "file", b"new")

        assert reader.read() == b"old and long"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_file_that_others_could_read_is_replaced_by_one_that_they_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o644)

    replace_file(tmp_path / "file", b"new", sync=True)

    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o600


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()

    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "file", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_there_is_not_taken_over(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        make_folder(tmp_path)
