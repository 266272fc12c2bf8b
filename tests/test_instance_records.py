"""Records of instances on their way up: by any way, through any breaks, each comes once."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.events import InstanceRecord, Record
from protocols.ids import RunId, TaskId
from protocols.instance_records import join, split, wrap
from protocols.states import InstanceLink
from tests.made_events import records

_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._\[\]-]{0,8}", fullmatch=True).map(TaskId)


@given(st.lists(_names, max_size=4), _names)
def test_a_name_is_made_of_its_way_and_its_task(way: Sequence[TaskId], task: TaskId) -> None:
    path = ""
    for step in way:
        path = join(path, step)

    assert split(join(path, task)) == (tuple(way), task)


@settings(max_examples=30)
@given(records, st.lists(_names, min_size=1, max_size=4))
def test_a_record_keeps_its_event_and_gets_a_name_and_a_number_at_each_level(
    found: list[Record], way: list[TaskId]
) -> None:
    for seq, record in enumerate((each for each in found if not isinstance(each.event, InstanceRecord)), 100):
        told = record
        for level, task in enumerate(reversed(way)):
            told = Record(seq + level, wrap(task, told))

        assert isinstance(told.event, InstanceRecord)
        assert told.event.event == record.event
        assert told.event.path == "/".join(way)
        assert len(told.event.numbers) == len(way)
        assert told.event.numbers[-1] == record.seq
        assert told.event.worker == str(way[0])
        assert told.event.at == record.event.at


@settings(max_examples=30)
@given(records, st.data())
def test_whatever_breaks_each_record_is_taken_once_and_in_order(found: list[Record], data: st.DataObject) -> None:
    """Those who tell may begin anywhere, end anywhere and leave something out; in the end the journal tells it all."""
    link, taken = InstanceLink(RunId("r")), list[Record]()

    def take(told: Sequence[Record]) -> None:
        for record in told:
            if link.expects(record):
                link.last = record.seq
                taken.append(record)

    for _ in range(data.draw(st.integers(0, 5))):
        begin = data.draw(st.integers(0, len(found)))
        told = found[begin : data.draw(st.integers(begin, len(found)))]
        take([record for record in told if data.draw(st.integers(0, 5))])
    take(found)

    assert taken == found
