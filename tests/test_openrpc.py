"""The document of the port: complete, made from the code, and the committed one is that."""

import json
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from protocols.event_codec import encode_record
from protocols.events import Record
from protocols.openrpc import openrpc_document
from protocols.port_methods import METHODS
from tests.made_events import events
from tests.schemas import OPENRPC, as_text

_DOCUMENT = openrpc_document()


def test_the_committed_document_is_that_of_the_code() -> None:
    assert OPENRPC.read_text(encoding="utf-8") == as_text(_DOCUMENT), "write it again: make schemas"


def test_every_method_is_told_with_the_scope_that_it_takes_and_no_other() -> None:
    told = {each["name"]: each.get("x-scope") for each in _DOCUMENT["methods"] if "result" in each}

    assert told == {name: method.need for name, method in METHODS.items()}


def test_what_the_server_tells_unasked_has_no_result() -> None:
    told = [each["name"] for each in _DOCUMENT["methods"] if each.get("x-sent-by") == "server"]

    assert told == ["events.records", "events.lagged", "events.ended"]
    assert not any("result" in each for each in _DOCUMENT["methods"] if each["name"] in told)


def test_everything_that_is_referred_to_is_there_and_every_schema_is_one() -> None:
    text = json.dumps(_DOCUMENT)
    components = _DOCUMENT["components"]

    for kind in ("schemas", "errors"):
        wanted = {part.partition('"')[0] for part in text.split(f"#/components/{kind}/")[1:]}
        assert wanted <= components[kind].keys()
    for schema in components["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_no_event_has_a_number_of_its_own_in_place_of_that_of_its_record() -> None:
    kinds = [
        each["$ref"].rpartition("/")[2] for each in _DOCUMENT["components"]["schemas"]["Record"]["allOf"][1]["anyOf"]
    ]

    assert [kind for kind in kinds if "seq" in _DOCUMENT["components"]["schemas"][kind]["properties"]] == []


@given(events)
def test_every_event_is_a_record_of_the_document(event: Any) -> None:
    record = json.loads(encode_record(Record(1, event)))

    _validator("Record").validate(record)


@pytest.mark.parametrize("wrong", [{"type": "worker.output", "seq": 1}, {"seq": 1, "type": "nothing", "at": 0}, {}])
def test_what_is_no_record_is_none_of_the_document(wrong: object) -> None:
    assert not _validator("Record").is_valid(wrong)


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": _DOCUMENT["components"]})
