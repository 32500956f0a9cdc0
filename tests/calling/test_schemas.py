"""Schemas: agreement with another library, and answers in bounded time to schemas made to hang."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from optimizer.calling.schemas import LONGEST_SCHEMA, conforms

INTEGERS = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abn"), inner, max_size=3),
    max_leaves=6,
)
plain = (
    st.fixed_dictionaries({"type": st.sampled_from(["null", "boolean", "integer", "string", "array", "object"])})
    | st.fixed_dictionaries({"enum": st.lists(values, max_size=2)})
    | st.fixed_dictionaries({"minimum": st.integers(-9, 9)})
    | st.fixed_dictionaries({"pattern": st.sampled_from(["^a", "b$", "a+b?"])})
)
schemas = st.recursive(
    plain | st.just({"$ref": "#/$defs/part"}),
    lambda inner: (
        st.fixed_dictionaries({"items": inner})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("abn"), inner, max_size=2)})
        | st.fixed_dictionaries({"not": inner})
    ),
    max_leaves=5,
)


@given(values, plain, schemas)
def test_it_agrees_with_another_library(value: Any, part: dict[str, Any], schema: dict[str, Any]) -> None:
    whole = {"$defs": {"part": part}, "allOf": [schema]}
    assert conforms(json.dumps(value), whole) == Draft202012Validator(whole).is_valid(value)


@pytest.mark.parametrize(("text", "good"), [('{"n": 1}', True), ('{"n": "1"}', False), ("{}", False), ("[]", False)])
def test_an_object_is_held_against_its_schema(text: str, good: bool) -> None:
    assert conforms(text, INTEGERS) is good


def test_a_schema_may_refer_to_itself() -> None:
    tree = {
        "type": "object",
        "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}},
        "additionalProperties": False,
    }
    assert conforms('{"left": {"right": {}}}', tree) is True
    assert conforms('{"left": {"middle": {}}}', tree) is False


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "file:///etc/hosts"},
        {"$ref": "#/$defs/nobody"},
        {"$ref": "#anchor"},
        {"$dynamicRef": "#node"},
        {"$schema": "https://example.org/my-own-draft"},
        {"pattern": "(?=a)b"},
        {"pattern": "((a{100}){100}){100}"},
        {"minimum": float("nan")},
        {"description": "x" * LONGEST_SCHEMA},
        {"description": b"bytes"},
        "a string",
        7,
    ],
)
def test_what_cannot_be_checked_is_unknown(schema: Any) -> None:
    assert conforms("1", schema) is None


def test_half_a_character_is_unknown() -> None:
    assert conforms('"\\ud800"', {"type": "string"}) is None


def test_a_pattern_made_to_backtrack_forever_does_not() -> None:
    assert conforms(json.dumps("a" * 50_000 + "!"), {"type": "string", "pattern": "^(a+)+$"}) is False


def test_many_patterns_on_a_long_text_are_not_begun() -> None:
    schema = {"allOf": [{"pattern": "[ab]*a[ab]{300}c"}] * 50}
    assert conforms('"ab"', schema) is False
    assert conforms(json.dumps("ab" * 10_000), schema) is None


def test_definitions_that_double_forty_times_are_not_unfolded() -> None:
    doubled = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    assert conforms("1", {"$defs": {**doubled, "d40": {"type": "integer"}}, "$ref": "#/$defs/d0"}) is None


def test_a_definition_that_doubles_inside_itself_takes_no_time() -> None:
    node = {"type": "object", "allOf": [{"properties": {"x": {"$ref": "#/$defs/node"}}}] * 2}
    text = '{"x": ' * 60 + "{}" + "}" * 60
    assert conforms(text, {"$defs": {"node": node}, "$ref": "#/$defs/node"}) is True


def test_a_long_text_against_a_large_schema_is_not_begun() -> None:
    schema = {"items": {"anyOf": [{"const": n} for n in range(1000)]}}
    assert conforms("[1]", schema) is True
    assert conforms(json.dumps([1] * 50_000), schema) is None


def test_a_schema_nested_too_deep_is_unknown() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"items": schema}
    assert conforms("1", schema) is None
