"""The document of the HTTP side: complete, made from the code, and what is answered is what it says."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from protocols.http_routes import ROUTES
from protocols.openapi import openapi_document
from tests.http_side import open_side
from tests.schemas import OPENAPI, as_text

_DOCUMENT = openapi_document()


def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(verb, path, each) for path, verbs in _DOCUMENT["paths"].items() for verb, each in verbs.items()]


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": _DOCUMENT["components"]})


def test_the_committed_document_is_that_of_the_code() -> None:
    assert OPENAPI.read_text(encoding="utf-8") == as_text(_DOCUMENT), "write it again: make schemas"


def test_every_route_is_told_once_under_its_own_name() -> None:
    told = [(verb.upper(), path) for verb, path, _ in _operations()]
    names = [each["operationId"] for _, _, each in _operations()]

    assert sorted(told) == sorted((route.verb, route.path) for route in ROUTES)
    assert len(set(names)) == len(names) == len(ROUTES)


def test_everything_that_is_referred_to_is_there_and_nothing_else() -> None:
    text = json.dumps(_DOCUMENT)
    schemas = _DOCUMENT["components"]["schemas"]

    assert {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]} == schemas.keys()
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_every_name_in_a_path_is_a_parameter() -> None:
    for _, path, operation in _operations():
        told = [each["name"] for each in operation["parameters"] if each["in"] == "path"]

        assert [f"{{{name}}}" for name in told] == [part for part in path.split("/") if part.startswith("{")]


@pytest.mark.parametrize("path", [each.path for each in ROUTES if each.verb == "GET" and each.calls != "/events"])
async def test_what_is_answered_is_what_the_document_says(tmp_path: Path, path: str) -> None:
    responses = _DOCUMENT["paths"][path]["get"]["responses"]
    target = path.format(task="lint", run="build", instance="build", command="c1")
    async with open_side(tmp_path) as side:
        answer = await side.client.get(target)

    told = responses.get(str(answer.status_code), responses["default"])["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    if "*/*" not in told:
        _validator(told[kind]["schema"]).validate(answer.json())


@pytest.mark.parametrize(
    "body", [{}, {"grace": 1, "reason": "x", "key": "k"}, {"grace": -1}, {"grce": 1}, {"grace": "1"}]
)
async def test_a_body_that_the_document_allows_is_taken_and_no_other(tmp_path: Path, body: dict[str, object]) -> None:
    schema = _DOCUMENT["paths"]["/api/workers/{task}/stop"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    async with open_side(tmp_path) as side:
        answer = await side.client.post("/api/workers/lint/stop", json=body)

    assert (answer.status_code == 200) == _validator(schema).is_valid(body)
