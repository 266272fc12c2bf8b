"""The payloads of OpenCode, read leniently; and ids of our own messages."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.opencode_dialect import ErrorTold, PartDelta, make_message_id, read_payload


def framed(properties: bytes) -> bytes:
    return b'{"id":"evt_1","type":"x","properties":' + properties + b"}"


def test_what_is_not_known_is_left_out_and_what_is_missing_has_a_default() -> None:
    told = read_payload(
        "session.error", framed(b'{"sessionID":"s","error":{"name":"APIError","data":{"new":1}},"more":[]}')
    )

    assert isinstance(told, ErrorTold) and told.error is not None
    assert (told.error.name, told.error.message) == ("APIError", "APIError")


def test_types_of_others_are_none() -> None:
    assert read_payload("session.next.step", framed(b"7")) is None


@pytest.mark.parametrize("data", [b"", b"{}", framed(b"[]"), framed(b'{"partID":1'), framed(b'{"partID":[]}')])
def test_broken_payloads_are_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_payload("message.part.delta", data)


def test_numbers_that_come_as_floats_are_taken() -> None:
    data = framed(
        b'{"info":{"id":"m","role":"assistant","time":{"created":1.0,"completed":2.5},"cost":1,"tokens":null}}'
    )

    assert read_payload("message.updated", data) is not None
    assert read_payload("message.part.delta", framed(b'{"messageID":"m","partID":"p","delta":"x"}')) == PartDelta(
        "m", "p", "x"
    )


@given(st.lists(st.tuples(st.floats(1.6e9, 3e9), st.integers(0, 4095)), min_size=2), st.binary(min_size=14))
def test_ids_of_messages_sort_by_the_moment_they_were_made_at(moments: list[tuple[float, int]], salt: bytes) -> None:
    moments.sort(key=lambda each: (int(each[0] * 1000), each[1]))

    made = [make_message_id(at, count, salt)[:16] for at, count in moments if at < 2**36 / 1000]

    assert made == sorted(made)
    assert all(re.fullmatch(r"msg_[0-9a-f]{12}[0-9A-Za-z]{14}", make_message_id(at, 0, salt)) for at, _ in moments)
