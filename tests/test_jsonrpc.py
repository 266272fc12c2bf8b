"""JSON-RPC 2.0 as the specification has it, byte by byte."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.jsonrpc import (
    INVALID_REQUEST,
    PARSE_ERROR,
    Failure,
    Request,
    Response,
    decode_request,
    failure,
)


@pytest.mark.parametrize(
    ("line", "params", "number"),
    [
        (b'{"jsonrpc": "2.0", "method": "m", "params": {"a": 1}, "id": 7}', b'{"a": 1}', 7),
        (b'{"jsonrpc": "2.0", "method": "m", "params": [1], "id": "x"}', b"[1]", "x"),
        (b'{"jsonrpc": "2.0", "method": "m", "id": null}', b"{}", None),
        (b'{"jsonrpc": "2.0", "method": "m"}', b"{}", msgspec.UNSET),
    ],
)
def test_a_request_has_a_method_and_may_have_parameters_and_an_id(
    line: bytes, params: bytes, number: str | int | msgspec.UnsetType | None
) -> None:
    request = decode_request(line)

    assert isinstance(request, Request)
    assert (request.method, bytes(request.params), request.id) == ("m", params, number)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", PARSE_ERROR),
        (b"{", PARSE_ERROR),
        (b"\xff", PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "method": "\xff"}', PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "method": "m", "params": ' + b"[" * 100_000, PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (b'{"jsonrpc": "1.0", "method": "m"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "method": 1}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "method": "m", "id": 1.5}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "method": "m", "parms": {}}', INVALID_REQUEST),
    ],
)
def test_what_is_no_request_is_answered_with_the_code_of_the_specification_and_no_id(line: bytes, code: int) -> None:
    response = decode_request(line)

    assert isinstance(response, Response)
    assert isinstance(response.error, Failure) and response.error.code == code and response.id is None


@given(st.binary())
def test_no_bytes_raise(line: bytes) -> None:
    assert isinstance(decode_request(line), Request | Response)


@pytest.mark.parametrize("line", [b'{"method": "m", "id": 1}', b'{"jsonrpc": null, "method": "m", "id": 1}'])
def test_a_request_that_names_no_version_is_of_another_protocol(line: bytes) -> None:
    assert isinstance(decode_request(line), Response)


def test_a_response_says_its_version_its_id_and_either_result_or_error() -> None:
    done = msgspec.json.encode(Response(id="a", result=msgspec.Raw(b'{"x":1}')))
    failed = msgspec.json.encode(failure(None, PARSE_ERROR, "no JSON"))

    assert json.loads(done) == {"jsonrpc": "2.0", "id": "a", "result": {"x": 1}}
    assert json.loads(failed) == {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no JSON"}}


def test_a_response_that_was_sent_can_be_read() -> None:
    response = msgspec.json.decode(msgspec.json.encode(failure(3, INVALID_REQUEST, "why")), type=Response)

    assert (response.id, response.error) == (3, Failure(INVALID_REQUEST, "why"))
