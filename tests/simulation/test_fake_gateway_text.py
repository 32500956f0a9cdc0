"""Texts have the length asked for, streams lose no character, and made-up JSON fits its schema."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from optimizer.simulation.fake_gateway.text import count_tokens, filler, minimal_json, pieces

SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "string", "minLength": 9}}, "required": ["a"]},
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 2}, "minItems": 2},
    {"type": ["integer", "null"], "maximum": -3},
    {"enum": ["red", "green"]},
    {"const": {"x": 1}},
    {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    {"type": "string", "maxLength": 2},
    {"type": "string", "format": "uuid"},
    {
        "$defs": {"n": {"type": "integer", "multipleOf": 5, "minimum": 10}},
        "type": "array",
        "items": {"$ref": "#/$defs/n"},
    },
    {"properties": {"next": {"$ref": "#"}}, "type": "object"},
    {},
]


@given(st.text())
def test_pieces_together_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(st.integers(0, 3_000))
def test_filler_has_as_many_tokens_as_asked(n_tokens: int) -> None:
    assert count_tokens(filler(n_tokens)) == n_tokens


@given(st.text(), st.text())
def test_tokens_of_lines_add_up(first: str, second: str) -> None:
    assert count_tokens(f"{first}\n{second}") == count_tokens(first) + count_tokens(second)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_made_up_json_fits_its_schema(schema: dict[str, Any]) -> None:
    assert list(Draft202012Validator(schema).iter_errors(json.loads(minimal_json(schema)))) == []


def test_a_schema_without_end_is_cut_off() -> None:
    endless = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert json.loads(minimal_json(endless))["next"]["next"]
