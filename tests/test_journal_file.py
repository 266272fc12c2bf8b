"""The file of a journal: numbers, filters, foreign and damaged files, kill -9, full disks."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.journal_file import JournalFile, last_seq, open_journal, read_records
from protocols.errors import JournalError
from protocols.events import Event, Record, WorkerOutput, WorkerProgress
from protocols.fleet_events import FleetSwept, KeeperLost, KeeperStarted
from protocols.ids import WorkerId
from tests.small_disk import small_disk

A, B = WorkerId("a"), WorkerId("b")


def output(offset: int, worker: WorkerId = A) -> WorkerOutput:
    return WorkerOutput(at=float(offset), worker=worker, attempt=1, stream="stdout", offset=offset, length=1)


def keeper(pid: int) -> KeeperStarted:
    return KeeperStarted(at=1.5, pid=pid, generation=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@contextmanager
def opened(path: Path) -> Iterator[JournalFile]:
    with closing(open_journal(path)) as file:
        yield file


def test_numbers_count_from_one_and_go_on_when_the_journal_is_opened_again(path: Path) -> None:
    with opened(path) as file:
        first = file.append([keeper(1), keeper(2)])
    with opened(path) as file:
        second = file.append([keeper(3)])

    assert [*first, *second] == [Record(1, keeper(1)), Record(2, keeper(2)), Record(3, keeper(3))]
    assert list(read_records(path)) == [*first, *second]
    assert last_seq(path) == 3


def test_an_empty_journal_has_no_records(path: Path) -> None:
    with opened(path) as file:
        assert file.last == 0
        assert file.append([]) == []
        assert list(read_records(path)) == []
        assert last_seq(path) == 0


def test_files_are_for_their_owner_only(path: Path) -> None:
    with opened(path) as file:
        file.append([keeper(1)])

        modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}

    assert modes == dict.fromkeys(["journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"], 0o600)


def test_closing_moves_everything_into_one_file(path: Path) -> None:
    with opened(path) as file:
        file.append([keeper(1)])

    assert [entry.name for entry in path.parent.iterdir()] == ["journal.sqlite3"]


def test_what_a_killed_creation_left_is_replaced(path: Path) -> None:
    path.with_name("journal.sqlite3.new").write_bytes(b"half")
    path.with_name("journal.sqlite3.new-wal").write_bytes(b"half")

    with opened(path) as file:
        file.append([keeper(1)])

    assert last_seq(path) == 1


events = st.lists(
    st.one_of(
        st.builds(output, st.integers(0, 9), st.sampled_from([A, B])),
        st.builds(
            WorkerProgress,
            at=st.just(1.0),
            worker=st.sampled_from([A, B]),
            attempt=st.just(1),
            fraction=st.none(),
            label=st.text(),
        ),
        st.builds(keeper, st.integers(1, 9)),
        st.builds(KeeperLost, at=st.just(2.0), pid=st.just(1), reason=st.text()),
    ),
    max_size=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    events,
    st.integers(0, 25),
    st.none() | st.sampled_from([A, B]),
    st.none() | st.sets(st.sampled_from(["worker.output", "worker.progress", "keeper.started", "keeper.lost"])),
    st.none() | st.integers(0, 25),
    st.integers(1, 4),
)
def test_filters_select_what_a_scan_of_everything_would(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[Event],
    after: int,
    worker: WorkerId | None,
    types: set[str] | None,
    limit: int | None,
    page: int,
) -> None:
    path = tmp_path_factory.mktemp("filters") / "journal"
    with opened(path) as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("actors.journal_file._PAGE", page)
        records = file.append(written)

        found = list(read_records(path, after, worker=worker, types=types, limit=limit))

    assert (
        found
        == [
            record
            for record in records
            if record.seq > after
            and (worker is None or getattr(record.event, "worker", None) == worker)
            and (types is None or record.event.__struct_config__.tag in types)
        ][slice(limit)]
    )


def test_a_slow_reader_keeps_nothing_locked_and_sees_what_came_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.journal_file._PAGE", 2)
    with opened(path) as file:
        file.append([output(offset) for offset in range(3)])
        reader = read_records(path)
        seen = [next(reader)]

        file.append([output(3)])
        with closing(sqlite3.connect(path)) as other:
            (busy, *_) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        seen += reader

    assert busy == 0
    assert [record.seq for record in seen] == [1, 2, 3, 4]


def test_rare_records_are_found_without_reading_the_others(path: Path) -> None:
    with opened(path) as file, closing(sqlite3.connect(path)) as db:
        file.append([keeper(1), output(0)])
        plan = db.execute(
            "EXPLAIN QUERY PLAN SELECT body FROM records INDEXED BY milestones WHERE seq > 0 AND seq <= 1000 AND "
            "type IN ('keeper.started') AND type NOT IN ('worker.output', 'worker.progress', 'worker.heartbeat') "
            "ORDER BY seq"
        ).fetchall()

    assert [step[3] for step in plan] == ["SEARCH records USING INDEX milestones (seq>? AND seq<?)"]


def test_a_batch_that_fails_leaves_no_row_and_no_number(path: Path) -> None:
    broken = KeeperStarted(at=float("nan"), pid=2, generation=1)
    with opened(path) as file:
        file.append([keeper(1)])

        with pytest.raises(JournalError, match="NOT NULL"):
            file.append([keeper(2), broken])

        assert file.append([keeper(3)]) == [Record(2, keeper(3))]
    assert list(read_records(path)) == [Record(1, keeper(1)), Record(2, keeper(3))]


def test_a_full_file_is_an_error_that_may_pass(path: Path) -> None:
    with opened(path) as file:
        file.append([keeper(1)])
        (pages,) = file._db.execute("PRAGMA page_count").fetchone()
        file._db.execute(f"PRAGMA max_page_count = {pages}")
        many = [keeper(pid) for pid in range(500)]

        with pytest.raises(OSError, match="No space left"):
            file.append(many)
        file._db.execute("PRAGMA max_page_count = 1000000")

        assert file.append(many)[-1] == Record(501, keeper(499))
    assert last_seq(path) == 501


def test_text_that_is_no_unicode_is_written_readably(path: Path) -> None:
    with opened(path) as file:
        file.append([FleetSwept(at=1.0, processes=(os.fsdecode(b"cat \xff"),))])

    assert list(read_records(path)) == [Record(1, FleetSwept(at=1.0, processes=("cat \\udcff",)))]


def spoil_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")


def spoil_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id = 7")


def spoil_header(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)


def spoil_all(path: Path) -> None:
    path.write_bytes(b"")


def spoil_length(path: Path) -> None:
    os.truncate(path, 5000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_version, "has format 2, this version of callboard knows 1; use the version that wrote it"),
        (spoil_application, "is the database of another program; move it away"),
        (spoil_header, "file is not a database; move it away"),
        (spoil_all, "is empty; move it away"),
        (spoil_length, "malformed; move it away"),
    ],
)
def test_a_file_that_is_not_a_journal_of_ours_is_refused_and_not_touched(
    path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    with opened(path) as file:
        file.append([keeper(1)])
    spoil(path)
    before = path.read_bytes()

    for attempt in (open_journal, last_seq, lambda path: list(read_records(path))):
        with pytest.raises(JournalError, match=message) as caught:
            attempt(path)
        assert str(path) in str(caught.value)

    assert path.read_bytes() == before


def test_a_missing_journal_is_an_error_for_readers(path: Path) -> None:
    with pytest.raises(JournalError, match="there is none"):
        last_seq(path)
    assert not path.exists()


def test_a_journal_in_a_missing_folder_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be created: No such file or directory"):
        open_journal(tmp_path / "missing" / "journal")


def test_damage_in_the_middle_is_an_error_for_who_comes_to_it(path: Path) -> None:
    with opened(path) as file:
        for _ in range(5):
            file.append([output(offset) for offset in range(1000)])
    size = path.stat().st_size
    with path.open("r+b") as damaged:
        damaged.seek(size // 2)
        damaged.write(b"\xff" * 8192)

    with pytest.raises(
        JournalError, match=r"malformed; move it away, or save what is left with: sqlite3 FILE \.recover"
    ):
        list(read_records(path))


def test_a_record_of_an_unknown_type_is_named(path: Path) -> None:
    with opened(path) as file, closing(sqlite3.connect(path, isolation_level=None)) as newer:
        file.append([keeper(1)])
        newer.execute(
            """INSERT INTO records VALUES (2, 1.0, 'moon.rose', NULL, CAST('{"type":"moon.rose"}' AS BLOB))"""
        )

        reader = read_records(path)

        assert next(reader).seq == 1
        with pytest.raises(JournalError, match=r"record 2 \(moon\.rose\) is not known to this version"):
            next(reader)
        assert list(read_records(path, types={"keeper.started"})) == [Record(1, keeper(1))]


def test_what_came_out_of_an_outbox_is_written_once_and_leaves_no_hole(path: Path) -> None:
    with opened(path) as file:
        file.append([keeper(1), keeper(2)], [("a", 1), None])
        again = file.append([keeper(1), keeper(3), keeper(4), keeper(4)], [("a", 1), ("b", 1), ("a", 2), ("a", 2)])
    with opened(path) as file:
        last = file.append([keeper(4), keeper(5)], [("a", 2), ("a", 3)])

    assert again == [Record(3, keeper(3)), Record(4, keeper(4))]
    assert last == [Record(5, keeper(5))]


def test_a_journal_of_an_older_version_takes_what_comes_out_of_an_outbox(path: Path) -> None:
    with opened(path) as file:
        file.append([keeper(1)])
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE taken")

    with opened(path) as file:
        assert file.append([keeper(2), keeper(2)], [("a", 1), ("a", 1)]) == [Record(2, keeper(2))]


WRITER = """
import sys
from pathlib import Path
from actors.journal_file import open_journal
from protocols.fleet_events import KeeperStarted
file = open_journal(Path(sys.argv[1]))
while True:
    for record in file.append([KeeperStarted(at=1.5, pid=file.last + i, generation=1) for i in range(1, 8)]):
        print(record.seq)
    sys.stdout.flush()
"""


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(700)]
        while_it_lives = last_seq(path)
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout.read().splitlines()]

    recovered = [record.seq for record in read_records(path)]
    with opened(path) as file:
        (next_record,) = file.append([keeper(1)])
    with closing(sqlite3.connect(path)) as db:
        (integrity,) = db.execute("PRAGMA integrity_check").fetchone()

    assert while_it_lives >= 700
    assert recovered == list(range(1, len(recovered) + 1))
    assert acknowledged == recovered[: len(acknowledged)]
    assert next_record.seq == len(recovered) + 1
    assert integrity == "ok"


def fill(file: JournalFile) -> None:
    while True:
        file.append([output(offset) for offset in range(50)])


def test_a_full_disk_loses_nothing_and_is_left_behind_with_exact_numbers(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as disk, opened(disk / "journal") as file:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(150_000))
        with pytest.raises(OSError, match="No space left"):
            fill(file)
        written = file.last
        full = [record.seq for record in read_records(disk / "journal")]
        ballast.unlink()
        more = file.append([output(0)])

        assert full == list(range(1, written + 1))
        assert [record.seq for record in more] == [written + 1]
        assert last_seq(disk / "journal") == written + 1


def test_a_journal_cannot_be_created_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as disk:
        (disk / "ballast").write_bytes(bytes(250_000))

        with pytest.raises(JournalError, match="see whether its disk is full"):
            open_journal(disk / "journal")

        assert not (disk / "journal").exists()


@pytest.mark.parametrize("killed", [False, True])
def test_a_journal_can_be_read_in_a_folder_that_cannot_be_written(tmp_path: Path, killed: bool) -> None:
    with small_disk(tmp_path / "small") as disk:
        file = open_journal(disk / "journal")
        file.append([keeper(1)])
        if killed:
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(disk / f"journal{suffix}", tmp_path / f"copy{suffix}")
        file.close()
        if killed:
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(tmp_path / f"copy{suffix}", disk / f"journal{suffix}")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

        assert list(read_records(disk / "journal")) == [Record(1, keeper(1))]
