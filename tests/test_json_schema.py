"""JSON Schemas: whether they can be used, and what they do not allow."""

import json
import re

import pytest

from actors.json_schema import find_violations, read_schema

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
STEPS = {
    "type": "object",
    "required": ["title"],
    "properties": {
        "steps": {
            "type": "array",
            "items": {"anyOf": [{"type": "object", "required": ["name"]}, {"type": "null"}]},
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ('{"type": "objct"}', "no schema: $.type: 'objct' is not valid under any of the given schemas"),
        ('{"pattern": "("}', "no schema: $.pattern: '(' is not a 'regex'"),
        (
            '{"$ref": "#/$defs/x"}',
            '"$ref": "#/$defs/x" is not in this file; references to other files are not followed',
        ),
        (
            '{"items": [{"$ref": "http://127.0.0.1:1/x.json"}], "$schema": "' + DRAFT_7 + '"}',
            '"$ref": "http://127.0.0.1:1/x.json" is not in this file; references to other files are not followed',
        ),
        (
            '{"$schema": "foo"}',
            '"$schema": no known dialect "foo"; write "https://json-schema.org/draft/2020-12/schema"',
        ),
        ('{"$schema": [1]}', '"$schema": no known dialect [1]; write "https://json-schema.org/draft/2020-12/schema"'),
        ("3", "a schema is an object; write one"),
        ("[" * 200 + "]" * 200, "more than 100 arrays and objects in each other"),
        ("{", "not JSON at line 1, column 2: it ends too early"),
    ],
)
def test_what_is_no_schema_is_told(schema: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read_schema(schema.encode())


@pytest.mark.parametrize(
    ("value", "violations"),
    [
        ({"title": 1, "steps": [{"name": 1}, None]}, ()),
        (
            {"steps": [{"name": 1}, {}]},
            ("$: 'title' is a required property", "$.steps[1]: 'name' is a required property"),
        ),
        ([], ("$: [] is not of type 'object'",)),
        (
            {"title": 1, "steps": [3] * 9},
            (*(f"$.steps[{i}]: 3 is not valid under any of the given schemas" for i in range(5)), "and more"),
        ),
    ],
)
def test_what_a_schema_does_not_allow_is_told_with_its_path(value: object, violations: tuple[str, ...]) -> None:
    assert find_violations(value, read_schema(json.dumps(STEPS).encode())) == violations


def test_a_schema_of_another_dialect_is_read_by_its_rules() -> None:
    schema = {"$schema": DRAFT_7, "items": [{"$ref": "#/definitions/n"}], "definitions": {"n": {"type": "number"}}}

    assert find_violations(["x"], read_schema(json.dumps(schema).encode())) == ("$[0]: 'x' is not of type 'number'",)


def test_references_in_values_are_no_references() -> None:
    schema = {"enum": [{"$ref": "nowhere"}], "properties": {"$ref": {"type": "string"}}}

    assert find_violations({"$ref": "nowhere"}, read_schema(json.dumps(schema).encode())) == ()


def test_a_schema_that_refers_to_itself_without_end_is_told() -> None:
    assert find_violations(1, read_schema(b'{"$ref": "#"}')) == ("nested too deep for its schema",)


def test_a_schema_that_refers_to_itself_goes_as_deep_as_an_output_may() -> None:
    value: object = 1
    for _ in range(99):
        value = [value]

    (violation,) = find_violations(value, read_schema(b'{"type": "array", "items": {"$ref": "#"}}'))

    assert violation == f"${'[0]' * 99}: 1 is not of type 'array'"


def test_what_is_told_of_a_large_value_is_short() -> None:
    (violation,) = find_violations("x" * 100_000, read_schema(b'{"type": "number"}'))

    assert len(violation) < 500
    assert violation.endswith("is not of type 'number'")
