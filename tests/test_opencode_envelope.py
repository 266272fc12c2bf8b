"""What an event is about, whichever stream and version it comes from."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ServerError
from protocols.opencode import Envelope
from protocols.opencode_envelope import is_copy, parse_envelope

__all__: list[str] = []

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["sessionID", "info", "part", "id", "parentID", "type", "directory", "properties", "payload"])
SHAPES = st.recursive(
    JSON | st.sampled_from(["session.created", "message.updated"]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=5),
)


def test_a_wrapped_event_says_its_directory_and_a_bare_one_has_that_of_its_stream() -> None:
    payload = b'{"id":"evt_1","type":"session.idle","properties":{"sessionID":"ses_1"}}'

    wrapped = parse_envelope(b'{"directory":"/d","project":"p","payload":' + payload + b"}", 7.0)
    bare = parse_envelope(payload, 7.0, "/d")

    assert wrapped == bare == Envelope("evt_1", "session.idle", "/d", "ses_1", "", payload, 7.0)


@pytest.mark.parametrize(
    ("kind", "properties", "session", "parent"),
    [
        ("message.updated", {"sessionID": "s", "info": {"id": "m", "parentID": "msg_1"}}, "s", ""),
        ("message.updated", {"info": {"id": "m", "sessionID": "s", "parentID": "msg_1"}}, "s", ""),
        ("message.part.updated", {"part": {"id": "p", "sessionID": "s"}}, "s", ""),
        ("session.created", {"sessionID": "s", "info": {"id": "s", "parentID": "root"}}, "s", "root"),
        ("session.created", {"info": {"id": "s", "parentID": None}}, "s", ""),
        ("session.updated", {"info": {"id": "s", "parentID": "root", "title": "t"}}, "s", "root"),
        ("file.edited", {"file": "/d/x"}, "", ""),
        ("never.seen", {"sessionID": "s", "what": [1, {"a": None}]}, "s", ""),
        ("session.error", {"info": [1], "part": "no table", "sessionID": "s"}, "s", ""),
        ("message.updated", {"sessionID": 7, "info": {"sessionID": "s", "parentID": {}}}, "s", ""),
    ],
)
def test_the_session_is_found_where_each_version_has_it(
    kind: str, properties: object, session: str, parent: str
) -> None:
    text = msgspec.json.encode({"id": "e", "type": kind, "properties": properties})

    found = parse_envelope(text)

    assert found == Envelope("e", kind, "", session, parent, text)


def test_the_session_that_is_named_at_the_top_counts() -> None:
    found = parse_envelope(b'{"type":"x","properties":{"sessionID":"top","part":{"sessionID":"copy"}}}')

    assert found.session == "top"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b'"text"', b"{}", b'{"type":7}', b'{"payload":3}', b"\xff"]
)
def test_what_is_no_event_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(ServerError, match="an event is not understood"):
        parse_envelope(data)


@given(SHAPES)
def test_any_json_is_an_envelope_or_that_error(value: object) -> None:
    found: Envelope | None = None
    with suppress(ServerError):
        found = parse_envelope(msgspec.json.encode(value))

    assert found is None or msgspec.json.decode(found.payload)["type"] == found.type


def test_a_large_payload_is_passed_on_byte_for_byte() -> None:
    payload = b'{"id":"e", "type":"message.part.updated","properties":{"sessionID":"s","x":"' + b"y" * 200_000 + b'"}}'

    assert parse_envelope(b'{"payload": ' + payload + b"}").payload == payload


@pytest.mark.parametrize(
    ("data", "copy"),
    [
        (b'{"directory":"/d","project":"p","payload":{"type":"sync","syncEvent":{}}}', True),
        (b'{"type":"sync","syncEvent":{}}', True),
        (b'{"payload":{"id":"e","type":"session.idle","x":{"payload":{"type":"sync","y":1}}}}', False),
        (b'{"directory":"\\"payload\\":{\\"type\\":\\"sync\\",","payload":{"id":"e","type":"x"}}', False),
    ],
)
def test_copies_of_the_servers_own_log_are_told_by_their_beginning(data: bytes, copy: bool) -> None:
    assert is_copy(data) is copy
    assert msgspec.json.decode(data)


@given(st.sampled_from(["before", "after", "both"]), JSON, st.booleans())
def test_where_the_payload_stands_and_what_is_in_it_makes_no_difference(
    where: str, inner: object, nested: bool
) -> None:
    payload = {"id": "e", "type": "x", "properties": {"sessionID": "s", "payload": inner}}
    if nested:
        payload["properties"] = {"payload": payload["properties"], "sessionID": "s"}
    fields: dict[str, object] = {"directory": '/d "payload":'} if where != "after" else {}
    fields["payload"] = payload
    if where != "before":
        fields |= {"project": {"payload": inner}, "z": "}"} | ({} if where == "both" else {"directory": "/d"})

    found = parse_envelope(msgspec.json.encode(fields), 1.0)

    assert found == Envelope("e", "x", str(fields["directory"]), "s", "", msgspec.json.encode(payload), 1.0)
    bare = msgspec.json.encode(payload)
    assert parse_envelope(bare, 1.0, "/d") == Envelope("e", "x", "/d", "s", "", bare, 1.0)


def test_an_event_may_have_space_around_it() -> None:
    assert parse_envelope(b' {"directory": "/d", "payload" : {"type": "x"} } ').directory == "/d"
