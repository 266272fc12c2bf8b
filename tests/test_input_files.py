"""Files that cannot be read, each with its reason."""

from pathlib import Path

import pytest

from protocols.errors import PlanError
from supervisor.input_files import decode_input, read_input
from tests.users import as_nobody


def refusal(path: Path) -> str:
    with pytest.raises(PlanError) as caught:
        read_input(path, "x.toml", PlanError)
    (problem,) = caught.value.problems
    return problem


def test_a_file_comes_back_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"a\r\n\0\xff")

    assert read_input(path, "x.toml", PlanError) == b"a\r\n\0\xff"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")

    assert refusal(tmp_path / "missing") == "x.toml: no such file; correct the path"
    assert refusal(tmp_path) == "x.toml: a directory; name a file in it"
    assert refusal(tmp_path / "file" / "x") == "x.toml: cannot be read (Not a directory); name another file"
    assert refusal(tmp_path / "loop").startswith("x.toml: cannot be read (Too many levels of symbolic links)")


def test_a_file_without_the_permission_to_read_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.touch(mode=0)

    with as_nobody():
        assert refusal(path) == "x.toml: not readable for this user; change its permissions"


def test_more_than_four_mebibytes_are_refused_even_from_an_endless_file(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"#" * 4 * 1024 * 1024)

    assert len(read_input(path, "x.toml", PlanError)) == 4 * 1024 * 1024
    assert refusal(Path("/dev/zero")) == "x.toml: larger than 4 MiB; make it smaller"


def test_text_is_utf_8_with_or_without_a_byte_order_mark() -> None:
    assert decode_input("ü".encode(), "x.toml", PlanError) == "ü"
    assert decode_input(b"\xef\xbb\xbfa", "x.toml", PlanError) == "a"


def test_text_in_another_encoding_is_refused_with_its_line() -> None:
    with pytest.raises(PlanError) as caught:
        decode_input("a\nb = 'ü'".encode("latin-1"), "x.toml", PlanError)

    assert caught.value.problems == ("x.toml: line 2: not UTF-8; save the file as UTF-8",)
