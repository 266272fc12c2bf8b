"""A log file is copied through everything that may happen to it; what is lost on the way is told."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.sources.log_copy import Gap, LogCopy, Step
from actors.sources.log_files import LogFiles
from actors.sources.log_trail import Trail
from protocols.errors import SpawnError
from protocols.sentinel import Sentinel
from tests.small_disk import enlarge, small_disk
from tests.users import as_nobody

_LARGE = b"".join(b"%15d\n" % number for number in range(700_000))


class Desk:
    """A log file, its writer, and a copy of it."""

    def __init__(self, folder: Path, until: str = "") -> None:
        self.log = folder / "log"
        self.spool = folder / "spool"
        self.files = LogFiles()
        self.until = until
        self.now = 0.0
        self.appeared = 0
        self.copy = self.follow()

    def follow(self, path: Path | None = None, spool: Path | None = None) -> LogCopy:
        return LogCopy(Trail(str(path or self.log), self.files), str(spool or self.spool), Sentinel(self.until))

    def step(self, *, last: bool = False) -> Step:
        self.now += 0.1
        return self.copy.step(self.appeared, self.now, last=last)

    def look(self) -> list[Gap]:
        """Steps until there is nothing more to do now; what was told."""
        gaps = []
        while True:
            step = self.step()
            gaps += step.gaps
            if not step.moved and not step.more:
                return gaps

    def resume(self) -> list[Gap]:
        """As another process would."""
        self.copy.close()
        self.copy = self.follow()
        return self.copy.resume() + self.look()

    @property
    def copied(self) -> bytes:
        return self.spool.read_bytes()

    def append(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    def rotate(self, name: str = "log.1") -> None:
        self.log.rename(self.log.with_name(name))


@contextmanager
def _desk(folder: Path, until: str = "") -> Iterator[Desk]:
    desk = Desk(folder, until)
    try:
        yield desk
    finally:
        desk.copy.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with _desk(tmp_path) as found:
        yield found


def _why(desk: Desk, what: str) -> str:
    return f'"{desk.log}" {what}'


def test_every_byte_is_copied_in_whatever_pieces_it_comes(desk: Desk) -> None:
    desk.append(b"first \xc3")
    desk.copy.begin(behind=False)

    assert desk.look() == []
    assert desk.copied == b"first \xc3"
    desk.append(b"\xa4\nlast line without end")
    assert desk.look() == []
    assert desk.copied == b"first \xc3\xa4\nlast line without end"


def test_a_large_file_is_copied_in_steps(desk: Desk) -> None:
    desk.append(_LARGE)
    desk.copy.begin(behind=False)

    assert desk.step().more
    assert desk.copy.remaining() == len(_LARGE) - 8 * 1024 * 1024
    assert desk.look() == []
    assert desk.copied == _LARGE


def test_what_was_there_before_may_be_unwanted(desk: Desk) -> None:
    desk.append(b"old\n")
    desk.copy.begin(behind=True)
    desk.append(b"new\n")

    assert desk.look() == []
    assert desk.copied == b"new\n"


def test_a_file_that_comes_later_is_copied_from_its_beginning(desk: Desk) -> None:
    desk.copy.begin(behind=True)

    assert desk.look() == []
    desk.append(b"new\n")
    assert desk.look() == []
    assert desk.copied == b"new\n"


def test_after_rename_and_create_the_old_file_comes_first_and_to_its_end(desk: Desk) -> None:
    desk.append(b"old\n")
    desk.copy.begin(behind=False)
    desk.look()

    desk.append(b"the rest of the old one\n")
    desk.rotate()
    desk.append(b"new\n")

    assert desk.look() == []
    assert desk.copied == b"old\nthe rest of the old one\nnew\n"


def test_who_still_writes_to_the_renamed_file_is_waited_for(desk: Desk) -> None:
    desk.copy.begin(behind=False)
    with desk.log.open("ab", buffering=0) as writer:
        writer.write(b"one\n")
        desk.look()
        desk.rotate()
        desk.append(b"three\n")
        assert desk.look() == [] and desk.copied == b"one\n"
        writer.write(b"two\n")
        assert desk.look() == [] and desk.copied == b"one\ntwo\n"

    assert desk.look() == []
    assert desk.copied == b"one\ntwo\nthree\n"


def test_who_keeps_the_renamed_file_open_and_is_silent_is_left_and_what_comes_late_is_told(desk: Desk) -> None:
    desk.copy.begin(behind=False)
    with desk.log.open("ab", buffering=0) as writer:
        writer.write(b"one\n")
        desk.look()
        desk.rotate()
        desk.append(b"two\n")
        desk.look()
        desk.now += 1.0
        assert desk.look() == [] and desk.copied == b"one\ntwo\n"
        writer.write(b"late\n")
        why = f'they were written to "{desk.log}" after another file had taken its name'
        assert desk.look() == [Gap(8, 5, why)]
        assert desk.look() == []


def test_a_file_that_is_renamed_over_it_takes_its_place(desk: Desk, tmp_path: Path) -> None:
    desk.append(b"old\n")
    desk.copy.begin(behind=False)
    desk.look()

    (tmp_path / "new").write_bytes(b"new, and longer than the old one\n")
    (tmp_path / "new").rename(desk.log)

    assert desk.look() == []
    assert desk.copied == b"old\nnew, and longer than the old one\n"


def test_a_removed_file_is_followed_until_there_is_another(desk: Desk) -> None:
    desk.append(b"old\n")
    desk.copy.begin(behind=False)
    with desk.log.open("ab", buffering=0) as writer:
        desk.log.unlink()
        writer.write(b"more\n")
        assert desk.look() == []
    desk.append(b"new\n")

    assert desk.look() == []
    assert desk.copied == b"old\nmore\nnew\n"


def test_copytruncate_is_a_gap_of_which_nobody_knows_the_size(desk: Desk) -> None:
    desk.copy.begin(behind=False)
    with desk.log.open("ab", buffering=0) as writer:
        writer.write(b"old\n")
        desk.look()
        os.truncate(desk.log, 0)
        writer.write(b"new\n")

    assert desk.look() == [Gap(4, None, _why(desk, "was cut"))]
    assert desk.copied == b"old\nnew\n"


def test_a_cut_is_noticed_although_the_file_has_grown_past_its_old_size_since(desk: Desk) -> None:
    desk.append(b"a" * 100)
    desk.copy.begin(behind=False)
    desk.look()

    desk.log.write_bytes(b"b" * 3000)

    assert desk.look() == [Gap(100, None, _why(desk, "was cut"))]
    assert desk.copied == b"a" * 100 + b"b" * 3000


@pytest.mark.parametrize("size", [1000, 10_000, 3_000_000])
def test_who_writes_on_at_the_old_place_after_a_cut_leaves_a_hole_that_is_not_copied(desk: Desk, size: int) -> None:
    with desk.log.open("wb", buffering=0) as writer:
        writer.write(b"o" * size)
        desk.copy.begin(behind=False)
        desk.look()
        os.truncate(desk.log, 0)
        writer.write(b"new\n")

    assert desk.look() == [Gap(size, None, _why(desk, "was cut"))]
    assert desk.copied == b"o" * size + b"new\n"


def test_a_worker_that_empties_its_old_log_first_loses_nothing(desk: Desk) -> None:
    desk.append(b"of another run\n")
    desk.copy.begin(behind=True)

    desk.log.write_bytes(b"new\n")

    assert desk.look() == []
    assert desk.copied == b"new\n"


def test_files_that_had_the_name_between_two_looks_are_a_gap(desk: Desk) -> None:
    desk.append(b"1\n")
    desk.copy.begin(behind=False)
    desk.look()

    for number in (2, 3, 4):
        desk.rotate(f"log.{number}")
        desk.append(b"%d\n" % number)
        desk.appeared += 1

    assert desk.look() == [Gap(2, None, _why(desk, "was replaced more often than it could be looked at"))]
    assert desk.copied == b"1\n4\n"
    assert desk.look() == []


def test_a_file_that_came_and_went_between_two_looks_is_told_at_the_end(desk: Desk) -> None:
    desk.append(b"1\n")
    desk.copy.begin(behind=False)
    desk.look()

    desk.rotate()
    desk.append(b"2\n")
    desk.log.unlink()
    desk.appeared += 1

    assert desk.look() == []
    (gap,) = desk.step(last=True).gaps
    assert gap == Gap(2, None, _why(desk, "was replaced more often than it could be looked at"))


def test_each_file_that_is_seen_is_no_gap_however_many_there_are(desk: Desk) -> None:
    desk.copy.begin(behind=False)

    for number in range(20):
        desk.append(b"%d\n" % number)
        desk.appeared += 1
        assert desk.look() == []
        desk.rotate(f"log.{number}")

    assert desk.copied == b"".join(b"%d\n" % number for number in range(20))


def test_a_notice_may_come_later_than_the_look(desk: Desk) -> None:
    desk.append(b"1\n")
    desk.copy.begin(behind=False)
    desk.look()
    desk.rotate()
    desk.append(b"2\n")
    assert desk.look() == []

    desk.appeared += 1

    assert desk.look() == []


def test_a_file_that_is_renamed_to_and_fro_is_the_same(desk: Desk) -> None:
    desk.append(b"1\n")
    desk.copy.begin(behind=False)
    desk.look()

    desk.rotate()
    (desk.log.with_name("log.1")).rename(desk.log)
    desk.appeared += 1
    desk.append(b"2\n")

    assert desk.look() == []
    assert desk.copied == b"1\n2\n"


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "no file but a pipe, a socket or a device"),
        (lambda path: path.symlink_to("/dev/null"), "no file but a pipe, a socket or a device"),
    ],
    ids=["folder", "FIFO", "device"],
)
def test_what_is_no_file_is_refused(desk: Desk, make: Callable[[Path], None], what: str) -> None:
    make(desk.log)

    with pytest.raises(SpawnError) as caught:
        desk.copy.begin(behind=False)

    assert str(caught.value) == f'logfile "{desk.log}" is {what}; name a file'


def test_a_folder_in_place_of_the_file_is_told_once_and_the_old_file_followed_on(desk: Desk) -> None:
    desk.append(b"1\n")
    desk.copy.begin(behind=False)
    desk.look()

    desk.rotate()
    desk.log.mkdir()

    assert desk.look() == [Gap(2, None, f'logfile "{desk.log}" is a folder; name a file')]
    assert desk.look() == []
    desk.log.rmdir()
    desk.append(b"2\n")
    assert desk.look() == []
    assert desk.copied == b"1\n2\n"


def test_a_replacement_that_may_not_be_read_is_told_once_and_tried_again() -> None:
    with as_nobody(), TemporaryDirectory() as folder, _desk(Path(folder)) as desk:
        desk.append(b"1\n")
        desk.copy.begin(behind=False)
        desk.look()

        desk.rotate()
        desk.append(b"2\n")
        desk.log.chmod(0)

        why = f'logfile "{desk.log}": Permission denied; make it readable for this user'
        assert desk.look() == [Gap(2, None, why)]
        assert desk.look() == []
        desk.log.chmod(0o600)
        assert desk.look() == []
        assert desk.copied == b"1\n2\n"


def test_a_file_is_open_once_however_many_follow_it_by_whatever_path(desk: Desk, tmp_path: Path) -> None:
    desk.append(b"text\n")
    os.link(desk.log, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(desk.log)
    paths = [desk.log, desk.log, tmp_path / "hard", tmp_path / "soft"]
    copies = [desk.follow(path, tmp_path / f"spool{number}") for number, path in enumerate(paths)]
    identity = desk.log.stat().st_ino

    for copy in copies:
        copy.begin(behind=False)
        copy.step(0, 0.0)

    assert [Path(copy.spool).read_bytes() for copy in copies] == [b"text\n"] * 4
    assert _open_files(identity) == 1
    for copy in copies:
        copy.close()
    assert _open_files(identity) == 0


def _open_files(inode: int) -> int:
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            status = link.stat()
        except FileNotFoundError:
            continue
        found += stat.S_ISREG(status.st_mode) and status.st_ino == inode
    return found


def test_two_names_of_a_file_part_when_one_of_them_is_rotated(desk: Desk, tmp_path: Path) -> None:
    desk.append(b"1\n")
    os.link(desk.log, tmp_path / "other")
    other = desk.follow(tmp_path / "other", tmp_path / "spool2")
    desk.copy.begin(behind=False)
    other.begin(behind=False)

    desk.log.unlink()
    desk.append(b"new\n")
    with (tmp_path / "other").open("ab") as file:
        file.write(b"2\n")
    desk.look()
    other.step(0, 0.0)

    assert desk.copied == b"1\n2\nnew\n"
    assert (tmp_path / "spool2").read_bytes() == b"1\n2\n"
    other.close()


def test_a_follower_goes_on_where_its_spool_ends(desk: Desk) -> None:
    desk.append(b"old\n")
    desk.copy.begin(behind=True)
    desk.append(b"1\n")
    desk.look()
    desk.append(b"2\n")

    assert desk.resume() == []
    desk.append(b"3\n")
    assert desk.resume() == []
    assert desk.copied == b"1\n2\n3\n"


def test_a_follower_goes_on_in_the_file_that_was_copied_last(desk: Desk) -> None:
    desk.append(b"1\n")
    desk.copy.begin(behind=False)
    desk.look()
    desk.rotate()
    desk.append(b"2\n")
    desk.look()
    desk.append(b"3\n")

    assert desk.resume() == []
    assert desk.copied == b"1\n2\n3\n"


def test_what_happened_to_the_file_while_nobody_followed_it_is_told(desk: Desk) -> None:
    desk.append(b"1\n")
    desk.copy.begin(behind=False)
    desk.look()

    desk.rotate()
    desk.append(b"2\n")
    assert desk.resume() == [Gap(2, None, _why(desk, "was replaced while nobody followed it"))]
    desk.log.write_bytes(b"three\n")
    assert desk.resume() == [Gap(4, None, _why(desk, "was cut"))]
    desk.log.unlink()
    assert desk.resume() == [Gap(10, None, _why(desk, "was gone when it was to be followed again"))]
    desk.append(b"4\n")
    assert desk.look() == []
    assert desk.copied == b"1\n2\nthree\n4\n"


def test_what_never_was_there_is_still_waited_for(desk: Desk) -> None:
    desk.copy.begin(behind=False)

    assert desk.resume() == []
    assert not desk.copy.seen


@pytest.mark.parametrize("text", [b"x\nDONE\nmore\n", b"DONE\r\n"])
def test_the_sentinel_is_found(tmp_path: Path, text: bytes) -> None:
    with _desk(tmp_path, "DONE") as desk:
        desk.copy.begin(behind=False)
        desk.append(text)
        desk.look()

        assert desk.copy.found
        assert desk.resume() == []
        assert desk.copy.found


def test_a_sentinel_without_its_end_counts_when_its_file_is_at_its_end(tmp_path: Path) -> None:
    with _desk(tmp_path, "DONE") as desk:
        desk.append(b"x\nDONE")
        desk.copy.begin(behind=False)
        desk.look()
        assert not desk.copy.found

        desk.rotate()
        desk.append(b"new\n")
        desk.look()

        assert desk.copy.found


def test_a_sentinel_of_another_run_does_not_count(tmp_path: Path) -> None:
    with _desk(tmp_path, "DONE") as desk:
        desk.append(b"DONE\n")
        desk.copy.begin(behind=True)
        desk.append(b"x\n")
        desk.look()

        assert not desk.copy.conclude()


def test_a_full_disk_holds_the_copy_up_and_nothing_is_lost(tmp_path: Path) -> None:
    text = _LARGE[: 600 * 1024]
    with small_disk(tmp_path / "small") as disk, _desk(tmp_path) as desk:
        desk.copy.close()
        desk.spool = disk / "spool"
        desk.copy = desk.follow()
        desk.copy.begin(behind=False)
        desk.append(text)

        assert desk.step().blocked == "No space left on device"
        copied = desk.copied
        assert text.startswith(copied) and len(copied) < len(text)
        assert desk.copy.rest() == len(text) - len(copied)
        enlarge(disk)
        step = desk.step()

        assert not step.blocked
        assert desk.copied == text
        desk.copy.close()


@given(st.lists(st.sampled_from(["write", "look", "rotate", "replace", "cut"]), max_size=25), st.data())
def test_whatever_happens_to_a_file_nothing_is_lost_in_silence(
    tmp_path_factory: pytest.TempPathFactory, happenings: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")
    with _desk(folder) as desk:
        desk.append(b"0\n")
        desk.copy.begin(behind=False)
        told: list[Gap] = desk.look()
        written, cuts = b"0\n", 0

        for number, happening in enumerate(happenings, 1):
            match happening:
                case "write":
                    text = b"%d " % number * data.draw(st.integers(1, 100))
                    desk.append(text)
                    written += text
                case "rotate" | "replace":
                    told += desk.look()  # one at a time: more is a gap, which is tested by itself
                    desk.rotate(f"log.{number}") if happening == "rotate" else desk.log.unlink()
                    desk.append(b"after %s %d\n" % (happening.encode(), number))
                    written += b"after %s %d\n" % (happening.encode(), number)
                    desk.appeared += 1
                case "cut":
                    told += desk.look()
                    cuts += desk.log.stat().st_size > 0
                    desk.log.write_bytes(b"cut %d\n" % number)
                    written += b"cut %d\n" % number
                    told += desk.look()
                case _:
                    told += desk.look()
        told += desk.look()

        assert desk.copied == written
        assert [gap.why for gap in told] == [_why(desk, "was cut")] * cuts
