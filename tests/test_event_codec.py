"""Events as JSON: one line without control characters, and back again."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from protocols.event_codec import decode_event, encode_event, encode_record
from protocols.events import Record
from protocols.fleet_events import FleetSwept


@given(st.text(st.characters(codec="utf-8")))
def test_an_event_is_one_line_without_control_characters_and_decodes_to_itself(text: str) -> None:
    event = FleetSwept(at=1.0, processes=(text,))

    data = encode_event(event)

    assert decode_event(data) == event
    assert len(data.decode().splitlines()) == 1
    assert not any(unicodedata.category(character) == "Cc" for character in data.decode())


@given(st.text())
def test_text_that_is_no_unicode_is_written_with_escapes(text: str) -> None:
    swept = decode_event(encode_event(FleetSwept(at=1.0, processes=(text,))))

    assert swept == FleetSwept(at=1.0, processes=(text.encode("utf-8", "backslashreplace").decode(),))


def test_a_record_is_its_event_with_a_number_in_front() -> None:
    event = FleetSwept(at=1.0, processes=("7 \x9b2J\u2028",))

    data = encode_record(Record(3, event))

    assert data == rb'{"seq":3,"type":"fleet.swept","at":1.0,"processes":["7 \u009b2J\u2028"]}'
    assert json.loads(data) == {"seq": 3, "type": "fleet.swept", "at": 1.0, "processes": ["7 \x9b2J\u2028"]}
