"""The file of a ledger, and its outbox on the way into the journal: killed, full, foreign, newer."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from actors.journal_file import open_journal, read_records
from actors.ledger import FileLedger, Patience, open_file_ledger
from actors.ledger_file import open_ledger
from protocols.errors import LedgerError
from protocols.events import TaskStatusChanged
from protocols.layout import FleetFolder
from protocols.ledger import Done
from protocols.ledger_rules import Rules
from supervisor.outbox import take_in_outbox
from tests.ledgers import entry
from tests.small_disk import small_disk

# One task after the other begins and ends; what that tells goes into the journal now and then. It is killed, or dies
# where argv says.
WORKER = """
import os, signal, sys
from pathlib import Path
from actors.journal_file import JournalFile
from actors.ledger_file import open_ledger
from actors.ledger_store import FileStore
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.ledger import Done, Entry
from supervisor.outbox import take_in_outbox

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

folder, where = FleetFolder(Path(sys.argv[1])), sys.argv[2]
file = open_ledger(folder.ledger)
first = file.do(lambda rules: rules.store.count())
for number in range(first, first + 1000):
    task = TaskId(f"t{number}")
    file.do(lambda rules: rules.submit([Entry(id=task)]))
    (grant,) = file.do(lambda rules: rules.claim("n", 1)).grants
    file.do(lambda rules: rules.finish([Done(grant=grant, status="succeeded")]))
    print(number, flush=True)
    if number % 3 == 0:
        if where == "before the journal" and number > first + 20:
            JournalFile.append = die
        if where == "behind the journal" and number > first + 20:
            FileStore.trim = die
        take_in_outbox(folder)
"""


def told(folder: FleetFolder) -> list[str]:
    """Every change of status that the journal has, as ``t7 running``."""
    events = [record.event for record in read_records(folder.journal)]
    return [f"{event.task} {event.status}" for event in events if isinstance(event, TaskStatusChanged)]


def begun(count: int) -> list[str]:
    return [f"t{number} {status}" for number in range(count) for status in ("running", "succeeded")]


@pytest.mark.parametrize("where", ["before the journal", "behind the journal", "anywhere"])
def test_no_event_of_the_outbox_is_lost_or_comes_twice_wherever_its_writer_is_killed(
    tmp_path: Path, where: str
) -> None:
    folder = FleetFolder(tmp_path)
    open_journal(folder.journal).close()
    for lines in (5, 17, 30):
        command = [sys.executable, "-c", WORKER, str(tmp_path), where]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            if where == "anywhere":
                for _ in range(lines):
                    writer.stdout.readline()
                writer.send_signal(signal.SIGKILL)
            writer.stdout.read()
        assert writer.returncode == -signal.SIGKILL
        _end_what_is_left(folder)
        take_in_outbox(folder)

    with closing(open_ledger(folder.ledger)) as file:
        count = file.do(lambda rules: rules.store.count())
        assert file.store.outbox() == []
    assert count > 20
    assert told(folder) == begun(count)


def _end_what_is_left(folder: FleetFolder) -> None:
    """What the killed one was about to do."""

    def end(rules: Rules) -> None:
        rules.claim("n", 9)
        rules.finish([Done(grant=row.grant(), status="succeeded") for row in rules.store.running()])

    with closing(open_ledger(folder.ledger)) as file:
        file.do(end)


def test_a_ledger_is_for_its_owner_alone_and_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with closing(open_ledger(path)) as file:
        name = file.name
    with closing(open_ledger(path)) as file:
        assert (file.name, len(name)) == (name, 32)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_ledger_takes_nothing_over_from_one_whose_file_is_gone_but_not_its_wal(tmp_path: Path) -> None:
    path, wal = tmp_path / "ledger", tmp_path / "ledger-wal"
    with closing(open_ledger(path)) as file:
        file.do(lambda rules: (rules.submit([entry("a")]), rules.claim("n", 1)))
        killed = wal.read_bytes()
    path.unlink()
    wal.write_bytes(killed)

    with closing(open_ledger(path)) as file:
        assert (file.do(lambda rules: rules.store.count()), file.store.outbox()) == (0, [])


def _make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def _make_foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE holidays (day TEXT)")
        db.commit()


def _damage(path: Path) -> None:
    path.write_bytes(b"no ledger at all" * 1000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_make_newer, "has format 99, this version of callboard knows 1; use the version that wrote it"),
        (_make_foreign, "is the database of another program; move it away"),
        (_damage, "this is no ledger, or its first page is damaged"),
        (_empty, "is empty; move it away"),
    ],
)
def test_a_file_that_is_not_ours_is_an_error_and_stays_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], None], what: str
) -> None:
    path = tmp_path / "ledger"
    open_ledger(path).close()
    spoil(path)
    before = path.read_bytes()

    with pytest.raises(LedgerError, match=what) as caught:
        open_ledger(path)

    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_ledger_without_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be created: No such file or directory; see to its folder"):
        open_ledger(tmp_path / "missing" / "ledger")


async def test_a_verb_waits_for_a_full_disk_and_is_done_once(tmp_path: Path, nursery: trio.Nursery) -> None:
    said: list[str] = []
    waits = trio.Event()

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    with small_disk(tmp_path / "small", size="1m") as disk, closing(open_ledger(disk / "ledger")) as file:
        ledger = FileLedger(file, Patience(retry=0.01, say=say))
        await ledger.submit([entry("a")])
        (grant,) = (await ledger.claim("n", 1)).grants
        await trio.to_thread.run_sync(_fill, disk)
        answers: list[object] = []
        full = trio.Event()

        async def finish() -> None:
            reason = "x" * 100_000
            ended = await ledger.finish([Done(grant=grant, status="failed", reason=reason)])
            answers.extend(ended.answers)
            full.set()

        nursery.start_soon(finish)
        await waits.wait()
        assert not answers
        (disk / "ballast").unlink()
        await full.wait()

        assert answers == ["accepted"]
        assert len([each for each in await ledger.outbox() if _failed(each.event)]) == 1
    assert said[0].startswith("the ledger cannot be written: ") and said[-1] == ""


def _failed(event: object) -> bool:
    return isinstance(event, TaskStatusChanged) and event.status == "failed"


def _fill(disk: Path) -> None:
    rest = os.statvfs(disk).f_bavail * 4096
    (disk / "ballast").write_bytes(bytes(rest))


async def test_a_ledger_that_no_disk_holds_yet_is_waited_for(tmp_path: Path, nursery: trio.Nursery) -> None:
    said = trio.Event()

    def say(text: str) -> None:
        said.set()

    with small_disk(tmp_path / "small") as disk:
        open_ledger(disk / "ledger").close()
        await trio.to_thread.run_sync(_fill, disk)
        opened = trio.Event()

        async def use() -> None:
            async with open_file_ledger(disk / "ledger", say) as ledger:
                await ledger.submit([entry("a")])
                opened.set()

        nursery.start_soon(use)
        await said.wait()
        assert not opened.is_set()
        (disk / "ballast").unlink()
        await opened.wait()
