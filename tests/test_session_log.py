"""The log of a session is one JSON object at every moment, and gives back what was written."""

import errno
import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.session_log import SessionLog
from protocols.opencode import Envelope, Snapshot
from protocols.session_entries import Aborted, Begun, Entry, Happened, Prompted, Reconciled

EVENT = Envelope("evt_1", "session.idle", "/w", "ses_1", "", b'{"id":"evt_1","type":"session.idle"}', 5.0)
SNAPSHOT = Snapshot("ses_1", 3.0, True, b'{"type":"busy"}', b"[]", b"", b"[]", b"[]", b"[]")
texts = st.text(max_size=20)
entries: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Prompted, at=st.just(1.0), message=texts, text=texts),
    st.builds(Aborted, at=st.just(2.0), outcome=st.just("lost")),
    st.just(Happened.of(EVENT, 5.0)),
    st.just(Reconciled.of(SNAPSHOT, 4.0)),
)


def test_events_and_snapshots_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "session-events.json"
    log, _ = SessionLog.open(path)
    log.add(Begun(at=1.0, session="ses_1", server="http://x", directory="/w"))
    log.add(Happened.of(EVENT, 5.0))
    log.add(Reconciled.of(SNAPSHOT, 4.0))
    log.close()

    again, found = SessionLog.open(path)
    again.close()

    assert isinstance(found[1], Happened)
    assert isinstance(found[2], Reconciled)
    assert (found[1].envelope(), found[2].snapshot()) == (EVENT, SNAPSHOT)
    kinds = [entry["kind"] for entry in json.loads(path.read_text())["events"]]
    assert kinds == ["session", "event", "snapshot"]


@settings(max_examples=50)
@given(st.lists(st.lists(entries, max_size=3), max_size=4), st.data())
def test_it_is_whole_after_each_write_and_a_torn_write_costs_only_itself(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Entry]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "session-events.json"
    log, _ = SessionLog.open(path)
    for batch in batches:
        for entry in batch:
            log.add(entry)
        assert log.flush()
        json.loads(path.read_bytes())
    whole = path.read_bytes()
    log.close()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])

    again, found = SessionLog.open(path)
    again.add(Aborted(at=9.0, outcome="lost"))
    again.close()

    written = [msgspec.json.encode(entry) for batch in batches for entry in batch]
    kept = [msgspec.json.encode(entry) for entry in found]
    assert kept == written[: len(kept)]
    lines = [line for line in whole[:cut].split(b"\n")[1:-1] if line not in {b"]}", b""}]
    assert len(kept) >= len(lines) - 1
    assert json.loads(path.read_bytes())["events"][-1]["kind"] == "abort"


def test_a_log_that_was_torn_behind_its_head_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "session-events.json"
    SessionLog.open(path)[0].close()
    path.write_bytes(path.read_bytes()[:23])

    log, found = SessionLog.open(path)
    log.add(Aborted(at=1.0, outcome="aborted"))
    log.close()

    assert found == []
    assert [entry["kind"] for entry in json.loads(path.read_bytes())["events"]] == ["abort"]


def test_what_a_full_disk_does_not_take_waits_and_what_is_there_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "session-events.json"
    log, _ = SessionLog.open(path)
    log.add(Aborted(at=1.0, outcome="aborted"))
    log.flush()
    pwrite = os.pwrite

    def refuse(fd: int, data: bytes, offset: int) -> int:
        if len(data) > 10:
            raise OSError(errno.ENOSPC, "full")
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", refuse)
    log.add(Aborted(at=2.0, outcome="timed-out"))

    assert not log.flush()
    assert [entry["outcome"] for entry in json.loads(path.read_text())["events"]] == ["aborted"]
    monkeypatch.setattr(os, "pwrite", pwrite)
    log.close()
    assert [entry["outcome"] for entry in json.loads(path.read_text())["events"]] == ["aborted", "timed-out"]
